/**
 * Snapshot, restore, clone and fork cut off at every place they come to: the daemon dies there, and the next one must end the
 * operation as an undisturbed one ends, or it is asked for again; nothing is doubled, and nothing is left of what was half made.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { StrataError, waitUntil } from '#base';
import type { Operation } from '#contract';
import type { AtPoint } from './world/daemon-life.ts';
import { openSimulatedHost, type SimulatedHost } from './world/simulated-host.ts';

let host: SimulatedHost;
before(async () => {
  host = await openSimulatedHost();
  await machines().create({ name: 'box', engine: 'auto', processors: 1, memoryMiB: 256, scratchMiB: 64, disks: [], start: true });
});
after(() => host.close());

const machines = () => host.daemon.backend.machines;
const limits = { limitMs: 20_000, everyMs: 5 };
const kept = { container: '', path: '/run/kept' };

const phaseOf = async (name: string) => (await machines().list()).find((one) => one.name === name)?.phase ?? 'gone';
const becomes = (name: string, phase: string) => waitUntil(async () => await phaseOf(name) === phase, { what: `${name} is ${phase}`, ...limits });
const agentOf = async (name: string) => host.daemon.layers.machines.machines.agent((await machines().get(name)).id);
const say = async (name: string, text: string) => { await (await agentOf(name)).call('fileWrite', { ...kept, content: Buffer.from(text).toString('base64'), mode: 0o600, append: false }); };
const told = async (name: string) => Buffer.from((await (await agentOf(name)).call('fileRead', { ...kept, offset: 0, length: 100 })).content, 'base64').toString();
const saysAgain = (name: string, text: string) => waitUntil(async () => await told(name).catch(() => '') === text, { what: `${name} says ${text}`, ...limits });
const passing = () => [...host.world.snapshots.values()].flatMap((all) => [...all.values()]).filter((one) => one.shown.passing).length;

/** The newest operation, once it has ended. */
const ended = () => waitUntil(async () => {
  const [last] = await host.daemon.backend.operations.list({ subject: undefined, limit: 1 });
  return last !== undefined && last.finishedAt !== null && last;
}, { what: 'the operation has ended', ...limits });

interface VerbUnderTest {
  readonly name: string;
  prepare(): Promise<void>;
  act(): Promise<Operation>;
  /** As after an undisturbed one. */
  check(): Promise<void>;
  clean(): Promise<void>;
}

async function removed(name: string): Promise<void> {
  if (await phaseOf(name) === 'gone') return;
  await machines().remove(name, { force: true });
  await becomes(name, 'gone');
}
async function clearSnapshots(): Promise<void> {
  for (const one of await machines().snapshots('box')) await machines().removeSnapshot('box', one.id);
}
async function runningBox(): Promise<void> {
  if (await phaseOf('box') !== 'running') await machines().start('box', {});
  await becomes('box', 'running');
  await say('box', 'first');
}

const verbs: readonly VerbUnderTest[] = [
  {
    name: 'snapshot', prepare: runningBox, act: () => machines().takeSnapshot('box', { name: 'one', memory: true }), clean: clearSnapshots,
    async check() {
      deepEqual((await machines().snapshots('box')).map((one) => [one.name, one.memory]), [['one', true]]);
      await saysAgain('box', 'first');
    },
  },
  {
    name: 'restore', act: () => machines().restoreSnapshot('box', 'one'), clean: clearSnapshots,
    async prepare() {
      await runningBox();
      await machines().takeSnapshot('box', { name: 'one', memory: true });
      equal((await ended()).status, 'succeeded');
      await say('box', 'second');
    },
    async check() {
      await saysAgain('box', 'first');
      equal((await machines().snapshots('box')).length, 1);
    },
  },
  {
    name: 'clone', act: () => machines().clone('box', { name: 'twin', full: false, start: false }), clean: () => removed('twin'),
    async prepare() {
      if (await phaseOf('box') !== 'stopped') await machines().stop('box', { force: false });
      await becomes('box', 'stopped');
    },
    async check() {
      await becomes('twin', 'defined');
      equal(await phaseOf('box'), 'stopped');
    },
  },
  {
    name: 'fork', prepare: runningBox, act: () => machines().fork('box', 'twin'), clean: () => removed('twin'),
    async check() {
      await saysAgain('twin', 'first');
      await say('twin', 'child');
      await saysAgain('box', 'first');
      equal((await machines().get('twin')).startedBy?.way, 'snapshot');
    },
  },
];

async function checkAll({ check }: VerbUnderTest): Promise<void> {
  await check();
  await nothingHalfMade();
}

async function nothingHalfMade(): Promise<void> {
  equal((await machines().list()).length, new Set((await machines().list()).map((one) => one.name)).size, 'nothing is there twice');
  await waitUntil(() => passing() === 0, { what: 'no passing snapshot is left', ...limits });
  const known = new Set((await machines().list()).map((one) => one.id));
  deepEqual([...host.world.vmms.keys(), ...host.world.goingOn.keys()].filter((id) => !known.has(id)), [], 'nothing is left of what was half made');
  deepEqual(host.world.doubleStarts, []);
}

/** True where it came to the place. */
async function actAndDisturb(verb: VerbUnderTest, place: string, how: 'die' | 'fail'): Promise<boolean> {
  let met = false;
  host.watch((name, life) => {
    if (name !== place || met) return;
    met = true;
    if (how === 'fail') throw new StrataError(`it fails at ${name}`, { code: 'sim.failed', kind: 'unavailable' });
    life.end();
  });
  const earlier = (await host.daemon.backend.operations.list({ subject: undefined, limit: 1 }))[0]?.id;
  let asked: unknown;
  await verb.act().catch((thrown: unknown) => { asked = thrown; });
  const failed = asked instanceof StrataError && asked.code === 'sim.failed';
  if (asked !== undefined && !failed && !host.daemon.life.ended) throw asked;
  await waitUntil(async () => host.daemon.life.ended || failed || (await host.daemon.backend.operations.list({ subject: undefined, limit: 1 }).catch(() => []))[0]?.finishedAt !== null, { what: 'it ends or dies', ...limits });
  host.watch(() => undefined);
  if (host.daemon.life.ended) await host.start();
  const [last] = await host.daemon.backend.operations.list({ subject: undefined, limit: 1 });
  const begun = last !== undefined && last.id !== earlier;
  if (!begun || (await ended()).status !== 'succeeded') {
    if (how === 'fail') await nothingHalfMade();
    await waitUntil(async () => !['stopping', 'starting'].includes(await phaseOf('box')), { what: 'box rests', ...limits });
    await verb.act();
    equal((await ended()).status, 'succeeded', `asked again after ${place}: ${JSON.stringify(last)}`);
  }
  return met;
}

for (const verb of verbs) {
  test(`[M36] ${verb.name} cut off at every place ends as if it had not been`, { timeout: 300_000 }, async (t) => {
    await becomes('box', await phaseOf('box'));
    await verb.prepare();
    const places = new Set<string>();
    const learn: AtPoint = (name) => { places.add(name); };
    host.watch(learn);
    await verb.act();
    equal((await ended()).status, 'succeeded');
    host.watch(() => undefined);
    await checkAll(verb);
    await verb.clean();
    let met = 0;
    const disturbances = [...places].flatMap((place) => (/^(copies|machine\.(kill|snapshot))\./.test(place) ? [[place, 'die'], [place, 'fail']] as const : [[place, 'die']] as const));
    for (const [place, how] of disturbances) {
      await verb.prepare();
      met += await actAndDisturb(verb, place, how) ? 1 : 0;
      await checkAll(verb).catch((thrown: unknown) => { throw new StrataError(`${verb.name}, ${how} at ${place}: ${String(thrown)}`, { code: 'test.matrix', kind: 'internal', cause: thrown }); });
      await verb.clean();
    }
    t.diagnostic(`${verb.name}: ${met} of ${disturbances.length} disturbances`);
    ok(met >= 4 && met >= disturbances.length * 0.7, `${met} of ${disturbances.length}`);
  });
}
