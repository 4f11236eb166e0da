/**
 * What disks and stopped machines are copied by, cut off at every place it comes to, each file that is made, moved or removed
 * among them: snapshots, restores, clones, copies and growth. Machines are in memory, their disks and layers are files.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { waitUntil, watchFailpoints } from '#base';
import { fewLayers } from '../../src/machines/backends/plan-merge.ts';
import { disksNow, layersFolder, readMovedDisks } from '../../src/machines/qemu/copies/disks-record.ts';
import { chainOfDisk, mostLayers, type Layer } from '../../src/machines/qemu/copies/layers.ts';
import { machinePlaces } from '../../src/machines/qemu/machine-places.ts';
import { fileEffectsArePlaces, isIn } from './world/file-places.ts';
import { layeredEngine, type LayeredEngine } from './world/layered-engine.ts';
import { askMachines } from './world/ask-machines.ts';
import { openSimulatedHost, type SimulatedHost } from './world/simulated-host.ts';
import { limits, testVerb, type VerbUnderTest } from './world/verb-matrix.ts';

let host: SimulatedHost;
let engine: LayeredEngine;
let boxId: string;
let putBack: () => void;
before(async () => {
  host = await openSimulatedHost({ engineOn: (fake, on) => (engine = layeredEngine(fake, on)) });
  putBack = fileEffectsArePlaces(isIn(host.instance.stateDir, ['disks', 'qemu', 'out']));
  await mkdir(out());
  await writeFile(inFolder('seed.raw'), content);
  const { id } = await machines().create({ name: 'box', engine: 'auto', processors: 1, memoryMiB: 256, scratchMiB: 64, disks: [{ name: 'data', from: inFolder('seed.raw'), backend: 'vmm' }], start: true });
  boxId = id;
  await becomes('box', 'running');
});
after(async () => {
  putBack();
  await host.close();
});

const content = Buffer.alloc(64 * 1024, 'first');
const machines = () => host.daemon.backend.machines;
const disks = () => host.daemon.backend.disks;
const inFolder = (...path: readonly string[]): string => join(host.instance.stateDir, ...path);
const out = (): string => inFolder('out');
const copied = (): string => join(out(), 'copy.raw');
const wished = (): string => inFolder('disks', boxId, 'data.raw');
const places = (id: string) => machinePlaces(host.instance, id);

const { phaseOf, becomes, succeeds, removed } = askMachines(() => host);async function stop(): Promise<void> {
  if (await phaseOf('box') !== 'stopped') await machines().stop('box', { force: true });
  await becomes('box', 'stopped');
}
async function start(): Promise<void> {
  await machines().start('box', {});
  await becomes('box', 'running');
}
/** Layers that its disk does not lie on, and snapshots without a record. */
async function leavings(): Promise<readonly string[]> {
  const chain = (await chainOf('box')).map((one) => one.path);
  const layers = (await readdir(layersFolder(places(boxId))).catch(() => [])).map((name) => join(layersFolder(places(boxId)), name));
  const snapshots = await foldersOf(join('qemu', boxId, 'snapshots'));
  return [...layers.filter((path) => !chain.includes(path)), ...snapshots.filter((id) => !existsSync(inFolder('qemu', boxId, 'snapshots', id, 'snapshot.json')))];
}
/** What was cut off may leave some of its own until then. */
async function nextStartRemovesLeavings(): Promise<void> {
  if ((await leavings()).length === 0) return;
  await stop();
  await start();
  deepEqual(await leavings(), []);
}
/** With its disk as it was at first, and no layer. */
async function stoppedBox(): Promise<void> {
  await nextStartRemovesLeavings();
  await stop();
  await rm(places(boxId).stateFolder, { recursive: true, force: true });
  await writeFile(wished(), content);
}
async function runningBox(): Promise<void> {
  await stoppedBox();
  await start();
}
/** The files of the disk as the next start opens them, the uppermost first. */
async function chainOf(name: string): Promise<readonly Layer[]> {
  const { id } = await machines().get(name);
  const spec = (await host.daemon.layers.machines.specs.get(id))?.value;
  return disksNow({ disks: spec?.disks ?? [] }, await readMovedDisks(places(id))).flatMap(chainOfDisk);
}
/** Stands for what a guest writes. Behind what a qcow2 file counts as its own, or within a raw one. */
async function write(name: string): Promise<void> {
  const [top] = await chainOf(name);
  ok(top !== undefined);
  const file = await open(top.path, 'r+');
  try { await file.write(mark, 0, mark.length, top.format === 'raw' ? 4096 : (await file.stat()).size); } finally { await file.close(); }
}
const mark = Buffer.from('second');
/** Whether what was written is there. All its files must be. */
async function isWritten(chain: readonly Layer[]): Promise<boolean> {
  const all = await Promise.all(chain.map(({ path }) => readFile(path)));
  return all.some((one) => one.includes(mark));
}
async function holdsFirst(name: string, length?: number): Promise<void> {
  const chain = await chainOf(name);
  if (length !== undefined) equal(chain.length, length);
  equal(await isWritten(chain), false);
  const lowest = chain.at(-1);
  ok(lowest !== undefined && (await readFile(lowest.path)).includes('firstfirst'), 'it has what it had');
}
/** What the VMM has open is what the next start would open, but for an empty file on top. */
async function opensTheSame(): Promise<void> {
  const chain = (await chainOf('box')).map((one) => one.path);
  const opened = engine.filesOf(boxId, 'data').map((one) => one.path);
  ok(opened.length > 0 && [chain.length, chain.length - 1].includes(opened.length), `${chain.join()} and ${opened.join()}`);
  deepEqual(chain.slice(chain.length - opened.length), opened);
}
const namesOfMachine = async () => (await machines().snapshots('box')).map((one) => one.name);
const namesOfDisk = async () => (await disks().snapshots('box', 'data')).map((one) => one.name);
const nothing = async (): Promise<void> => undefined;

interface Made { readonly machineId: string; readonly snapshotId: string; readonly cloneId: string; readonly passing: boolean }
const copies = () => host.daemon.layers.machines.copies;
const ofDisks = () => host.daemon.layers.machines.disks;
async function dropClone(made: Made): Promise<void> {
  await copies().discard(made.machineId, made.cloneId);
  if (made.passing) await copies().remove(made.machineId, made.snapshotId);
}
async function dropDiskClone(made: Made): Promise<void> {
  await ofDisks().discard(made.cloneId);
  if (made.passing) await ofDisks().remove(made.machineId, 'data', made.snapshotId);
}
const noTwin = async (): Promise<void> => { equal(await phaseOf('twin'), 'gone'); };
const removeTwin = () => removed('twin');

const clone = (full: boolean): VerbUnderTest => ({
  name: `${full ? 'full' : 'linked'} clone`, prepare: stoppedBox, act: () => machines().clone('box', { name: 'twin', full, start: false }), again: 'machine.nameTaken', clean: removeTwin, untouched: noTwin,
  undo: (input) => dropClone(input as Made),
  async check() {
    await becomes('twin', 'defined');
    await (full ? isWhole() : holdsFirst('twin'));
    await holdsFirst('box');
    deepEqual(await namesOfMachine(), []);
  },
});
async function isWhole(): Promise<void> {
  const [only, ...others] = await chainOf('twin');
  ok(only !== undefined && others.length === 0 && (await readFile(only.path)).includes('firstfirst'));
}
const diskSnapshot = (running: boolean): VerbUnderTest => ({
  name: `disk snapshot of a ${running ? 'running' : 'stopped'} machine`, prepare: running ? runningBox : stoppedBox, act: () => disks().takeSnapshot('box', 'data', 'one'), again: 'machine.snapshotNameTaken', clean: nothing,
  undo: async (input) => { await ofDisks().remove((input as Made).machineId, 'data', (input as Made).snapshotId); },
  async untouched() {
    deepEqual(await namesOfDisk(), []);
    await holdsFirst('box');
  },
  async check() {
    deepEqual(await namesOfDisk(), ['one']);
    await holdsFirst('box');
    if (running) await opensTheSame();
  },
});
const diskRestore = (running: boolean): VerbUnderTest => ({
  name: `disk restore of a ${running ? 'running' : 'stopped'} machine`, act: () => disks().restoreSnapshot('box', 'data', 'one'), again: '', clean: nothing,
  async prepare() {
    await (running ? runningBox() : stoppedBox());
    await succeeds(disks().takeSnapshot('box', 'data', 'one'));
    await write('box');
  },
  async check() {
    await becomes('box', running ? 'running' : 'stopped');
    deepEqual(await namesOfDisk(), ['one']);
    await holdsFirst('box', 2);
    if (running) await opensTheSame();
  },
});
const diskRemoval = (running: boolean): VerbUnderTest => ({
  name: `disk snapshot rm of a ${running ? 'running' : 'stopped'} machine`, act: () => disks().removeSnapshot('box', 'data', 'one'), again: 'machine.snapshotNotFound', clean: nothing,
  async prepare() {
    await (running ? runningBox() : stoppedBox());
    await succeeds(disks().takeSnapshot('box', 'data', 'one'));
  },
  async check() {
    deepEqual(await namesOfDisk(), []);
    if (running) await opensTheSame();
    else await holdsFirst('box');
  },
});
const diskClone = (full: boolean, running: boolean): VerbUnderTest => ({
  name: `${full ? 'full' : 'linked'} disk clone of a ${running ? 'running' : 'stopped'} machine`, prepare: running ? runningBox : stoppedBox,
  act: () => disks().clone('box', 'data', { name: 'twin', full, start: false }), again: 'machine.nameTaken', clean: removeTwin, untouched: noTwin,
  undo: (input) => dropDiskClone(input as Made),
  async check() {
    await becomes('twin', 'defined');
    await (full ? isWhole() : holdsFirst('twin'));
    deepEqual(await namesOfDisk(), []);
    if (running) await opensTheSame();
    else await holdsFirst('box');
  },
});
const diskCopy = (running: boolean): VerbUnderTest => ({
  name: `disk copy of a ${running ? 'running' : 'stopped'} machine`, prepare: running ? runningBox : stoppedBox, act: () => disks().copy('box', 'data', { path: copied() }), again: 'disk.fileExists',
  onlyDies: /^(files\.rm\..*|files\.link\.after|disk\.copy\.after)$/, // the copy has its name by then; what cannot be removed stays, and is removed when it is asked for again
  async clean() { for (const name of await readdir(out())) await rm(join(out(), name)); },
  async check() {
    deepEqual(await readdir(out()), [basename(copied())]);
    ok((await readFile(copied())).equals(content));
  },
  untouched: async () => { deepEqual(await readdir(out()), []); },
});

const copiedInPassing = (): Promise<void> => watchFailpoints((name) => host.daemon.life.pass(name), () => ofDisks().remove(boxId, 'data', 'none'));
/** No verb of anybody's: it comes by itself, after a copy and in a later daemon, and where it was cut off it comes again. */
const merging: VerbUnderTest = {
  name: 'merging of layers', again: '', clean: nextStartRemovesLeavings,
  async prepare() {
    await runningBox();
    const ids = Array.from({ length: fewLayers + 3 }, (_, at) => `many-${at}`);
    for (const id of ids) await ofDisks().take(boxId, 'data', { id, name: id, memory: false, passing: false });
    for (const id of ids) await rm(inFolder('qemu', boxId, 'snapshots', id), { recursive: true, force: true }); // removed by anybody else they were merged now
    ok(engine.filesOf(boxId, 'data').length > fewLayers + 3);
  },
  act: copiedInPassing,
  async check() {
    const merged = async () => engine.filesOf(boxId, 'data').length <= fewLayers && await opensTheSame().then(() => true, () => false);
    await waitUntil(merged, { what: 'its layers are merged', limitMs: 500, everyMs: 5 }).catch(async () => {
      await copiedInPassing();
      await waitUntil(merged, { what: 'its layers are merged after another copy', ...limits });
    });
    await opensTheSame();
    await holdsFirst('box');
  },
};

const verbs: readonly VerbUnderTest[] = [
  merging,
  {
    name: 'snapshot', prepare: stoppedBox, act: () => machines().takeSnapshot('box', { name: 'one', memory: false }), again: 'machine.snapshotNameTaken', clean: nothing,
    undo: async (input) => { await copies().remove((input as Made).machineId, (input as Made).snapshotId); },
    async untouched() {
      deepEqual(await namesOfMachine(), []);
      await holdsFirst('box');
    },
    async check() {
      deepEqual(await namesOfMachine(), ['one']);
      await holdsFirst('box');
    },
  },
  {
    name: 'restore', act: () => machines().restoreSnapshot('box', 'one'), again: '', clean: nothing,
    async prepare() {
      await stoppedBox();
      await succeeds(machines().takeSnapshot('box', { name: 'one', memory: false }));
      await write('box');
    },
    async check() {
      deepEqual(await namesOfMachine(), ['one']);
      await holdsFirst('box', 2);
      equal(await phaseOf('box'), 'stopped');
    },
  },
  {
    name: 'snapshot rm', act: () => machines().removeSnapshot('box', 'one'), again: 'machine.snapshotNotFound', clean: nothing,
    async prepare() {
      await stoppedBox();
      await succeeds(machines().takeSnapshot('box', { name: 'one', memory: false }));
    },
    async check() {
      deepEqual(await namesOfMachine(), []);
      await holdsFirst('box');
    },
  },
  clone(false), clone(true),
  {
    name: 'rm of a clone that never ran', act: () => machines().remove('twin', { force: false }), again: 'machine.notFound', clean: removeTwin,
    async prepare() {
      await stoppedBox();
      await succeeds(machines().clone('box', { name: 'twin', full: false, start: false }));
      await becomes('twin', 'defined');
    },
    async check() {
      await becomes('twin', 'gone');
      await holdsFirst('box');
    },
  },
  diskSnapshot(false), diskSnapshot(true), diskRestore(false), diskRestore(true), diskRemoval(false), diskRemoval(true),
  diskClone(false, true), diskClone(true, false), diskCopy(false), diskCopy(true),
  {
    name: 'disk grow', prepare: runningBox, act: () => disks().grow('box', 'data', 2 * content.length), again: '', clean: nothing,
    async check() { equal(engine.sizeOf(boxId, 'data'), 2 * content.length); },
  },
];

const foldersOf = (kind: string): Promise<string[]> => readdir(inFolder(kind)).catch(() => []);
async function left(): Promise<readonly string[]> {
  const known = new Set((await machines().list()).map((one) => one.id));
  const strange = (await Promise.all(['disks', 'qemu'].map(async (kind) => (await foldersOf(kind)).filter((id) => !known.has(id)).map((id) => `${kind}/${id}`)))).flat();
  const all = (await Promise.all(['disks', 'qemu', 'out'].map((kind) => readdir(inFolder(kind), { recursive: true }).catch(() => [])))).flat();
  const halves = all.filter((path) => /\.(new|pulled)$/.test(path) && !path.includes('.json.')); // of a record a few bytes stay beside it
  const snapshots = await foldersOf(join('qemu', boxId, 'snapshots'));
  const records = await Promise.all(snapshots.map(async (id) => ({ id, text: await readFile(inFolder('qemu', boxId, 'snapshots', id, 'snapshot.json'), 'utf8').catch(() => undefined) })));
  const broken = records.filter(({ text }) => text !== undefined && (JSON.parse(text) as { readonly passing: boolean }).passing).map(({ id }) => `snapshot ${id} in passing`);
  const owners = (await host.daemon.layers.addresses.list()).map((one) => one.owner).filter((owner) => owner.startsWith('machine/') && !known.has(owner.slice('machine/'.length)));
  return [...strange, ...halves, ...broken, ...owners];
}
async function nothingHalfMade(): Promise<void> {
  await waitUntil(async () => (await left()).length === 0, { what: 'nothing is left of what was half made', ...limits }).catch(async (thrown: unknown) => { deepEqual(await left(), []); throw thrown; });
  deepEqual(host.world.doubleStarts, []);
}
const rests = async (): Promise<void> => { await waitUntil(async () => !['stopping', 'starting', 'unknown'].includes(await phaseOf('box')), { what: 'box rests', ...limits }); };

for (const verb of verbs) {
  test(`[M38] ${verb.name} cut off at every place holds or leaves nothing`, { timeout: 300_000 }, async (t) => {
    await testVerb({ host, nothingHalfMade, rests, most: 12 }, verb, t);
    await nextStartRemovesLeavings();
  });
}

test('[M39] a disk is cloned more often than it may have layers, while its machine runs, and has few of them after that', { timeout: 120_000 }, async () => {
  await runningBox();
  const twins = Array.from({ length: mostLayers + 12 }, (_, at) => `twin-${at}`);
  for (const name of twins) {
    await succeeds(disks().clone('box', 'data', { name, full: false, start: false }));
    if (name === 'twin-30') await succeeds(disks().takeSnapshot('box', 'data', 'kept'));
  }
  await waitUntil(async () => engine.filesOf(boxId, 'data').length < 20, { what: 'its layers are merged', ...limits });
  await opensTheSame();
  for (const name of ['box', 'twin-0', 'twin-40', ...twins.slice(-1)]) await holdsFirst(name);
  deepEqual(await namesOfDisk(), ['kept']);
  for (const name of twins) await removed(name);
  await nothingHalfMade();
  await nextStartRemovesLeavings();
  await stop();
  await succeeds(disks().restoreSnapshot('box', 'data', 'kept'));
  await holdsFirst('box');
});

test('[M39] one that is copied faster than its layers are merged in the background is merged first, and refused where snapshots keep them', { timeout: 60_000 }, async () => {
  const take = (id: string, passing: boolean) => ofDisks().take(boxId, 'data', { id, name: id, memory: false, passing });
  const ids = Array.from({ length: mostLayers + 12 }, (_, at) => `fast-${at}`);
  await runningBox();
  for (const id of ids) await take(id, true);
  ok(engine.filesOf(boxId, 'data').length < mostLayers);
  await holdsFirst('box');
  for (const id of ids) await ofDisks().remove(boxId, 'data', id);
  await runningBox();
  for (const id of ids.slice(0, mostLayers - 1)) await take(id, false);
  await rejects(take('one-more', false), { code: 'machine.tooManyLayers' });
  equal((await namesOfDisk()).length, mostLayers - 1);
  for (const id of ids) await ofDisks().remove(boxId, 'data', id);
  await nothingHalfMade();
});
