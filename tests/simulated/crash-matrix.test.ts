/**
 * Every operation on an app is cut off at every place it comes to: the daemon dies there, or the step fails there, before
 * it or after it. Each story walks through all operations and is disturbed once in each; after each, the next daemon (or
 * the next look) must bring about what an undisturbed run does, with nothing left over.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { StrataError } from '#base';
import type { Operation } from '#contract';
import { ended, change, down, up, type AppWish } from './world/ask-app.ts';
import { comeToRest } from './world/come-to-rest.ts';
import type { AtPoint } from './world/daemon-life.ts';
import { pictureOf } from './world/picture-of.ts';
import { openSimulatedHost, type SimulatedHost } from './world/simulated-host.ts';

const changed: AppWish = { image: 'web:2', dbVersion: '2' };
const chapters: readonly { readonly name: string; readonly act: (host: SimulatedHost) => Promise<Operation> }[] = [
  { name: 'up', act: (host) => up(host, { dedicated: true }) },
  { name: 'change and scale', act: (host) => up(host, { ...changed, dedicated: true, replicas: 3 }) },
  { name: 'less', act: (host) => up(host, { ...changed, withoutWorker: true }) },
  { name: 'stop', act: (host) => change(host, 'stop', ['web', 'db']) },
  { name: 'start', act: (host) => change(host, 'start') },
  { name: 'restart', act: (host) => change(host, 'restart') },
  { name: 'down', act: (host) => down(host, { volumes: true }) },
];

/** A place is a point's name and how often it was passed before, in one chapter. */
interface Place { readonly name: string; readonly count: number }
/** `die` and `die again`: the daemon is killed, also the one after it. `fail`: an error, once. */
interface Disturbance { readonly place: Place; readonly how: 'die' | 'die again' | 'fail' }

/** Store writes are many and all different: every fourth. All else stands for itself at its first time in a chapter; between two drivers of traffic one place will do. */
function isChosen({ name, count }: Place): boolean {
  if (name === 'store.transact.after') return count % 4 === 0;
  return count === 0 && !['store.transact.before', 'network.apply.before', 'gateway.apply.before', 'gateway.stats.before', 'gateway.stats.after'].includes(name);
}

interface Undisturbed { readonly pictures: readonly unknown[]; readonly places: readonly (readonly Place[])[] }

async function tellUndisturbed(): Promise<Undisturbed> {
  let counts = new Map<string, number>();
  let seen: Place[] = [];
  const host = await openSimulatedHost();
  host.watch((name) => {
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    seen.push({ name, count });
  });
  const [pictures, places]: [unknown[], Place[][]] = [[], []];
  for (const chapter of chapters) {
    [counts, seen] = [new Map(), []];
    equal((await chapter.act(host)).status, 'succeeded', chapter.name);
    await comeToRest(host);
    pictures.push(await pictureOf(host));
    places.push(seen.filter(isChosen));
  }
  await host.close();
  return { pictures, places };
}

/** A write of the store that fails is tested below it; an engine that fails to start a machine has cleaned up, says its contract. */
const mayFail = ({ name }: Place): boolean => !name.startsWith('store.') && name !== 'engine.start.after';

const undisturbed = await tellUndisturbed();
const disturbances = undisturbed.places.map((places) => places.flatMap((place, index): Disturbance[] => {
  const die: Disturbance = { place, how: index % 4 === 0 ? 'die again' : 'die' };
  return mayFail(place) ? [die, { place, how: 'fail' }] : [die];
}));
const longest = Math.max(...disturbances.map((list) => list.length));
/** A story ends after the last chapter that has a place no story before it had. */
const chaptersOf = (story: number): number => disturbances.findLastIndex((list) => list.length > story) + 1;
let [met, meant] = [0, 0];

/** Disturbs at the place. */
function disturb({ place, how }: Disturbance): { readonly atPoint: AtPoint; readonly done: () => boolean } {
  let passed = 0;
  let done = false;
  return {
    done: () => done,
    atPoint(name, life) {
      if (name !== place.name || done) return;
      passed += 1;
      if (passed <= place.count) return;
      done = true;
      if (how === 'fail') throw new StrataError(`it fails at ${name}`, { code: 'sim.failed', kind: 'unavailable' });
      life.end();
    },
  };
}

async function tell(host: SimulatedHost, act: (host: SimulatedHost) => Promise<Operation>, disturbance: Disturbance): Promise<void> {
  const [first, second] = [disturb(disturbance), disturb(disturbance)];
  const operation = await askAndRest(host, act, first, disturbance.how === 'die again' ? second : undefined);
  met += first.done() ? 1 : 0;
  if (operation === 'gone' || operation?.status === 'succeeded') return;
  // Told as failed or interrupted, or never begun, it is asked for again.
  const again = await askAndRest(host, act);
  ok(again === 'gone' || again?.status === 'succeeded', `asked again, undisturbed, it is ${JSON.stringify(again)}`);
}

/** The operation as it stands once all rests, however often daemons died meanwhile; `gone` where the app is. */
async function askAndRest(host: SimulatedHost, act: (host: SimulatedHost) => Promise<Operation>, first?: ReturnType<typeof disturb>, second?: ReturnType<typeof disturb>): Promise<Operation | undefined | 'gone'> {
  const earlier = new Set((await host.daemon.backend.operations.list({ subject: undefined, limit: undefined })).map((one) => one.id));
  if (first !== undefined) host.watch(first.atPoint);
  let refusal: unknown;
  await act(host).catch((thrown: unknown) => { refusal = thrown; });
  if (refusal instanceof StrataError && refusal.code === 'app.notFound') return 'gone';
  if (refusal !== undefined && !host.daemon.life.ended && !(refusal instanceof StrataError && refusal.code === 'sim.failed')) throw refusal;
  // Some places are come to after the operation has ended; and the daemon after a dead one may die again.
  for (let died = 0; await restOrDeath(host) === 'dead'; died += 1) {
    host.watch(died === 0 && second !== undefined ? second.atPoint : () => undefined);
    await host.start();
    await followNew(host, earlier);
  }
  host.watch(() => undefined);
  return newOperation(host, earlier);
}

async function restOrDeath(host: SimulatedHost): Promise<'rest' | 'dead'> {
  try {
    await comeToRest(host);
  } catch (thrown) {
    if (!host.daemon.life.ended) throw thrown;
  }
  return host.daemon.life.ended ? 'dead' : 'rest';
}

const newOperation = async (host: SimulatedHost, earlier: ReadonlySet<string>): Promise<Operation | undefined> => (await host.daemon.backend.operations.list({ subject: undefined, limit: undefined })).find((one) => !earlier.has(one.id));

/** What a dead daemon left, followed to its end where it was begun again. */
async function followNew(host: SimulatedHost, earlier: ReadonlySet<string>): Promise<void> {
  try {
    const last = await newOperation(host, earlier);
    if (last !== undefined) await ended(host, last);
  } catch (thrown) {
    if (!host.daemon.life.ended) throw thrown;
  }
}

suite('cut off anywhere, an operation ends as if it had not been', { concurrency: 8 }, () => {
  for (let index = 0; index < longest; index += 1) {
    const chosen = disturbances.map((list) => list[index % list.length]);
    test(`story ${index}`, async () => {
      const host = await openSimulatedHost();
      let now = '';
      try {
        for (const [at, { name, act }] of chapters.slice(0, chaptersOf(index)).entries()) {
          const disturbance = chosen[at];
          now = `${name}, ${disturbance?.how} at ${disturbance?.place.name} ${disturbance?.place.count}`;
          meant += 1;
          if (disturbance !== undefined) await tell(host, act, disturbance);
          deepEqual(await pictureOf(host), undisturbed.pictures[at]);
        }
      } catch (thrown) {
        throw new Error(`${now}: ${(thrown as Error).message}`, { cause: thrown });
      } finally {
        await host.close();
      }
    });
  }
});

after(() => console.log(`${meant} disturbances, ${met} of them met`));
after(() => ok(met > meant * 0.8, `only ${met} of ${meant} places were come to`));
