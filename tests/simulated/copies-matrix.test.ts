/**
 * What machines are told and copied by, cut off at every place it comes to: pause, resume, suspend, snapshots, clones, forks
 * and the removal of a clone. Disks are names here; `disks-matrix.test.ts` has them as files.
 */
import { deepEqual, equal, match } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitUntil } from '#base';
import type { Operation } from '#contract';
import { askMachines } from './world/ask-machines.ts';
import { openSimulatedHost, type SimulatedHost } from './world/simulated-host.ts';
import { limits, testVerb, type VerbUnderTest } from './world/verb-matrix.ts';

let host: SimulatedHost;
before(async () => {
  host = await openSimulatedHost();
  await machines().create({ name: 'box', engine: 'auto', processors: 1, memoryMiB: 256, scratchMiB: 64, disks: [], start: true });
  await becomes('box', 'running');
});
after(() => host.close());

const machines = () => host.daemon.backend.machines;
const kept = { container: '', path: '/run/kept' };

const { phaseOf, becomes, succeeds, removed } = askMachines(() => host);
const agentOf = async (name: string) => host.daemon.layers.machines.machines.agent((await machines().get(name)).id);
const say = async (name: string, text: string) => { await (await agentOf(name)).call('fileWrite', { ...kept, content: Buffer.from(text).toString('base64'), mode: 0o600, append: false }); };
const told = async (name: string) => Buffer.from((await (await agentOf(name)).call('fileRead', { ...kept, offset: 0, length: 100 })).content, 'base64').toString();
const saysAgain = (name: string, text: string) => waitUntil(async () => await told(name).catch(() => '') === text, { what: `${name} says ${text}`, ...limits });
const passing = () => [...host.world.snapshots.values()].flatMap((all) => [...all.values()]).filter((one) => one.shown.passing).length;

async function clearSnapshots(): Promise<void> {
  for (const one of await machines().snapshots('box')) await machines().removeSnapshot('box', one.id);
}
async function runningBox(): Promise<void> {
  const phase = await phaseOf('box');
  if (phase === 'paused' || phase === 'suspended') await machines().resume('box', {});
  else if (phase !== 'running') await machines().start('box', {});
  await becomes('box', 'running');
  await say('box', 'first');
}
async function pausedBox(): Promise<void> {
  await runningBox();
  await machines().pause('box', {});
  await becomes('box', 'paused');
}
async function suspendedBox(): Promise<void> {
  await runningBox();
  await machines().suspend('box', {});
  await becomes('box', 'suspended');
}
async function stoppedBox(): Promise<void> {
  if (await phaseOf('box') !== 'stopped') await machines().stop('box', { force: false });
  await becomes('box', 'stopped');
}
async function boxWithSnapshot(memory: boolean): Promise<void> {
  await runningBox();
  await succeeds(machines().takeSnapshot('box', { name: 'one', memory }));
  await say('box', 'second');
}
const snapshotsOfBox = async () => (await machines().snapshots('box')).map((one) => [one.name, one.memory]);
/** A start that fails after it came about is undone ([M26]), and the memory it went on from is gone with it ([M31]). */
const losesAt = /^machine\.start\.after$/;
/** It goes on all the same, where its daemon died before the start was undone; or it booted, and whoever asked for its memory is told. */
const goneOnOrTold = (name: string, check: () => Promise<void>) => async (asked: Operation | undefined): Promise<void> => {
  await becomes(name, 'running');
  const { startedBy, startedAt } = await machines().get(name);
  if (startedBy?.way !== 'cold') return check();
  match(startedBy.why, /^it had gone on from memory, and that start came to nothing: it fails at machine\.start\.after$/);
  const { id } = asked ?? {};
  if (id === undefined) return;
  const { warnings, finishedAt } = await host.daemon.backend.operations.get(id);
  // It may have answered, and been undone only after that.
  if (Date.parse(finishedAt ?? '') >= Date.parse(startedAt ?? '')) match(warnings.join(), new RegExp(`${name} booted anew instead of going on: what was in its memory is lost, .*: ${startedBy.why}$`));
};
const nothing = async (): Promise<void> => undefined;

interface Made { readonly machineId: string; readonly snapshotId: string; readonly cloneId: string; readonly passing: boolean }
const dropSnapshot = ({ machineId, snapshotId }: Made) => host.daemon.layers.machines.copies.remove(machineId, snapshotId);
async function dropClone(made: Made): Promise<void> {
  await host.daemon.layers.machines.copies.discard(made.machineId, made.cloneId);
  if (made.passing) await dropSnapshot(made);
}
const noTwin = async (): Promise<void> => { equal(await phaseOf('twin'), 'gone'); };
const isPaused = async (): Promise<void> => {
  await becomes('box', 'paused');
  equal(host.world.vmms.get((await machines().get('box')).id)?.paused, true);
};
const goesOn = async (): Promise<void> => {
  await becomes('box', 'running');
  await saysAgain('box', 'first');
};

const forkKnows = async (): Promise<void> => {
  await saysAgain('twin', 'first');
  await say('twin', 'child');
  await saysAgain('box', 'first');
  equal((await machines().get('twin')).startedBy?.way, 'snapshot');
  await say('twin', 'first'); // for who looks again
};

const snapshot = (memory: boolean): VerbUnderTest => ({
  name: `snapshot ${memory ? 'with' : 'without'} memory`, prepare: runningBox, act: () => machines().takeSnapshot('box', { name: 'one', memory }), again: 'machine.snapshotNameTaken', clean: clearSnapshots,
  async check() {
    deepEqual(await snapshotsOfBox(), [['one', memory]]);
    await saysAgain('box', 'first');
  },
  async untouched() {
    deepEqual(await snapshotsOfBox(), []);
    await saysAgain('box', 'first');
  },
  undo: (input) => dropSnapshot(input as Made),
});
const restore = (memory: boolean): VerbUnderTest => ({
  name: `restore ${memory ? 'with' : 'without'} memory`, prepare: () => boxWithSnapshot(memory), act: () => machines().restoreSnapshot('box', 'one'), again: '', clean: clearSnapshots, ...(memory ? { losesAt, checkLost: goneOnOrTold('box', goesOn) } : {}),
  async check() {
    await becomes('box', 'running');
    if (memory) await saysAgain('box', 'first');
    else equal((await machines().get('box')).startedBy?.way, 'cold');
    deepEqual(await snapshotsOfBox(), [['one', memory]]);
  },
});
const clone = (full: boolean): VerbUnderTest => ({
  name: `${full ? 'full' : 'linked'} clone`, prepare: stoppedBox, act: () => machines().clone('box', { name: 'twin', full, start: false }), again: 'machine.nameTaken', clean: () => removed('twin'), untouched: noTwin,
  undo: (input) => dropClone(input as Made),
  async check() {
    await becomes('twin', 'defined');
    equal(await phaseOf('box'), 'stopped');
  },
});

const verbs: readonly VerbUnderTest[] = [
  { name: 'pause', prepare: runningBox, act: () => machines().pause('box', {}), check: isPaused, again: '', clean: nothing },
  { name: 'resume of a paused machine', prepare: pausedBox, act: () => machines().resume('box', {}), check: goesOn, again: '', clean: nothing },
  {
    name: 'suspend', prepare: runningBox, act: () => machines().suspend('box', {}), again: '', clean: nothing,
    async check() {
      await becomes('box', 'suspended');
      equal(host.world.isSuspended((await machines().get('box')).id), true);
    },
  },
  { name: 'resume of a suspended machine', prepare: suspendedBox, act: () => machines().resume('box', {}), check: goesOn, again: '', clean: nothing, losesAt, checkLost: goneOnOrTold('box', goesOn) },
  snapshot(true), snapshot(false), restore(true), restore(false),
  {
    name: 'snapshot rm', prepare: () => boxWithSnapshot(true), act: () => machines().removeSnapshot('box', 'one'), again: 'machine.snapshotNotFound', clean: clearSnapshots,
    async check() {
      deepEqual(await snapshotsOfBox(), []);
      await saysAgain('box', 'second');
    },
  },
  clone(false), clone(true),
  {
    name: 'clone of a snapshot', act: () => machines().clone('box', { name: 'twin', snapshot: 'one', full: false, start: true }), again: 'machine.nameTaken', untouched: noTwin,
    prepare: () => boxWithSnapshot(false),
    undo: (input) => dropClone(input as Made),
    async check() {
      await becomes('twin', 'running');
      deepEqual(await snapshotsOfBox(), [['one', false]]);
      await saysAgain('box', 'second');
    },
    async clean() {
      await removed('twin');
      await clearSnapshots();
    },
  },
  {
    name: 'fork', prepare: runningBox, losesAt, checkLost: goneOnOrTold('twin', forkKnows), act: () => machines().fork('box', 'twin'), again: 'machine.nameTaken', clean: () => removed('twin'), untouched: noTwin,
    undo: (input) => dropClone(input as Made),
    check: forkKnows,
  },
  {
    name: 'rm of a clone that never ran', act: () => machines().remove('twin', { force: false }), again: 'machine.notFound', clean: () => removed('twin'),
    async prepare() {
      await stoppedBox();
      await succeeds(machines().clone('box', { name: 'twin', full: false, start: false }));
      await becomes('twin', 'defined');
    },
    check: async () => { await becomes('twin', 'gone'); },
  },
];

async function nothingHalfMade(): Promise<void> {
  const all = await machines().list();
  equal(all.length, new Set(all.map((one) => one.name)).size, 'nothing is there twice');
  await waitUntil(() => passing() === 0, { what: 'no passing snapshot is left', ...limits });
  const known = new Set(all.map((one) => one.id));
  const left = () => [...host.world.vmms.keys(), ...host.world.goingOn.keys(), ...host.world.snapshots.keys(), ...host.network.taps].filter((id) => !known.has(id));
  await waitUntil(() => left().length === 0, { what: 'nothing is left of what was half made', ...limits }).catch((thrown: unknown) => { deepEqual(left(), []); throw thrown; });
  const owners = (await host.daemon.layers.addresses.list()).map((one) => one.owner).filter((owner) => owner.startsWith('machine/'));
  deepEqual(owners.filter((owner) => !known.has(owner.slice('machine/'.length))), [], 'no address is held for nothing');
  deepEqual(host.world.doubleStarts, []);
}
const rests = () => waitUntil(async () => !['stopping', 'starting', 'unknown'].includes(await phaseOf('box')), { what: 'box rests', ...limits }).then(() => undefined);

for (const verb of verbs) {
  test(`[M36] ${verb.name} cut off at every place holds or leaves nothing`, { timeout: 300_000 }, (t) => testVerb({ host, nothingHalfMade, rests, most: 28 }, verb, t));
}
