/** One story of the crash matrix: through all chapters, disturbed once in each, with the same end as where nothing happened. */
import { deepEqual, ok } from 'node:assert/strict';
import { StrataError } from '#base';
import type { Operation } from '#contract';
import { change, down, ended, up, type AppWish } from './ask-app.ts';
import { comeToRest } from './come-to-rest.ts';
import type { AtPoint } from './daemon-life.ts';
import { pictureOf } from './picture-of.ts';
import { openSimulatedHost, type SimulatedHost } from './simulated-host.ts';
import { answerStories } from './story-threads.ts';

const changed: AppWish = { image: 'web:2', dbVersion: '2' };
export const chapters: readonly { readonly name: string; readonly act: (host: SimulatedHost) => Promise<Operation> }[] = [
  { name: 'up', act: (host) => up(host, { dedicated: true }) },
  { name: 'change and scale', act: (host) => up(host, { ...changed, dedicated: true, replicas: 3 }) },
  { name: 'less', act: (host) => up(host, { ...changed, withoutWorker: true }) },
  { name: 'stop', act: (host) => change(host, 'stop', ['web', 'db']) },
  { name: 'start', act: (host) => change(host, 'start') },
  { name: 'restart', act: (host) => change(host, 'restart') },
  { name: 'down', act: (host) => down(host, { volumes: true }) },
];

/** A place is a point's name and how often it was passed before, in one chapter. */
export interface Place { readonly name: string; readonly count: number }
/** `die` and `die again`: the daemon is killed, also the one after it. `fail`: an error, once. */
export interface Disturbance { readonly place: Place; readonly how: 'die' | 'die again' | 'fail' }

/** For each chapter what happens in it, and the picture at its end. */
export type CrashStory = readonly { readonly disturbance: Disturbance; readonly picture: unknown }[];
/** How many disturbances came about. */
export interface CrashStoryTold { readonly met: number }

async function tellStory(story: CrashStory): Promise<CrashStoryTold> {
  const host = await openSimulatedHost();
  let [now, met] = ['', 0];
  try {
    for (const [at, { disturbance, picture }] of story.entries()) {
      const chapter = chapters[at];
      if (chapter === undefined) throw new Error('there is no such chapter');
      now = `${chapter.name}, ${disturbance.how} at ${disturbance.place.name} ${disturbance.place.count}`;
      met += await tellChapter(host, chapter.act, disturbance) ? 1 : 0;
      deepEqual(await pictureOf(host), picture);
    }
  } catch (thrown) {
    throw new Error(`${now}: ${(thrown as Error).message}`, { cause: thrown });
  } finally {
    await host.close();
  }
  return { met };
}

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

/** True where the disturbance came about. */
async function tellChapter(host: SimulatedHost, act: (host: SimulatedHost) => Promise<Operation>, disturbance: Disturbance): Promise<boolean> {
  const [first, second] = [disturb(disturbance), disturb(disturbance)];
  const operation = await askAndRest(host, act, first, disturbance.how === 'die again' ? second : undefined);
  if (operation === 'gone' || operation?.status === 'succeeded') return first.done();
  // Told as failed or interrupted, or never begun, it is asked for again.
  const again = await askAndRest(host, act);
  ok(again === 'gone' || again?.status === 'succeeded', `asked again, undisturbed, it is ${JSON.stringify(again)}`);
  return first.done();
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

answerStories(tellStory);
