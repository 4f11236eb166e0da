/** Snapshots, clones and copies of one disk as upper layers ask for them, of machines that do not run and of engines that cannot. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { existsSync, mkdtempSync } from 'node:fs';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newId, silentLog, systemClock, systemDice, type Instance } from '#base';
import { openSqliteStore } from '#store/sqlite';
import type { Store } from '#store';
import type { DiskCopies } from './disk-copies.ts';
import type { Engine } from './engine.ts';
import { fakeNetwork, fakeWorld, openFakeEngine } from './fake/index.ts';
import type { MachineDisk, MachineSpec } from './machine.ts';
import { openMachines, type OpenedMachines } from './open-machines.ts';
import { testMachine, testPolicy } from './testing/test-daemon.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-disks-'));
const instance: Instance = { name: 'dtest', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 202 };
let store: Store;
let plain: OpenedMachines;
let layered: OpenedMachines;
let disks: DiskCopies;

before(async () => {
  store = await openSqliteStore({ path: join(folder, 'store.db') });
  const engine = openFakeEngine({ world: fakeWorld() });
  const open = (one: Engine) => openMachines({ instance, store, network: fakeNetwork(), engines: [one], clock: systemClock, dice: systemDice, log: silentLog, policy: testPolicy });
  plain = open(engine);
  ok(engine.copies !== undefined);
  layered = open({ ...engine, copies: { ...engine.copies, placesOf: (id) => ({ stateFolder: join(folder, 'engine', id) }) } });
  disks = layered.disks;
});
after(async () => {
  await plain.stop();
  await layered.stop();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

const bytes = 1024 * 1024;
async function stopped(text: string): Promise<MachineSpec & { readonly disks: [MachineDisk] }> {
  const spec = testMachine({ wanted: 'stopped' });
  const path = join(folder, `${spec.id}.raw`);
  await writeFile(path, Buffer.alloc(bytes, text));
  const made = { ...spec, disks: [{ serial: 'data', path, format: 'raw', readOnly: false }] as [MachineDisk] };
  await layered.specs.put(spec.id, made);
  return made;
}
const wish = (name: string, passing = false) => ({ id: newId('snapshot', systemDice), name, memory: false, passing });
const begins = async (path: string): Promise<string> => (await readFile(path)).subarray(0, 5).toString();

test('[M38] a disk that nobody has open is kept, copied, cloned and brought back; what is asked twice is done once', async () => {
  const spec = await stopped('first');
  const [one, two] = [wish('one'), wish('two')];
  await disks.take(spec.id, 'data', one);
  await disks.take(spec.id, 'data', one);
  await disks.take(spec.id, 'data', two);
  await disks.take(spec.id, 'data', wish('unseen', true));
  deepEqual((await disks.list(spec.id, 'data')).map((kept) => [kept.name, kept.memory, kept.disks]), [['one', false, ['data']], ['two', false, ['data']]]);
  equal(await begins(spec.disks[0].path), 'first', 'it is as it was');

  const copied = join(folder, 'copied.raw');
  await disks.copy(spec.id, 'data', copied, undefined, {});
  equal(await begins(copied), 'first');
  await rejects(disks.copy(spec.id, 'data', copied, one.id, {}), { code: 'disk.fileExists' });
  await link(copied, `${copied}.new`);
  await disks.copy(spec.id, 'data', copied, undefined, {}); // by a daemon that ended right after
  deepEqual([await begins(copied), existsSync(`${copied}.new`)], ['first', false]);
  await rm(copied);
  await disks.copy(spec.id, 'data', copied, one.id, {});
  deepEqual([await begins(copied), existsSync(`${copied}.new`)], ['first', false]);

  const to = newId('machine', systemDice);
  const full = await disks.clone(spec.id, 'data', one.id, { machineId: to, engine: 'uml', served: false, full: true });
  deepEqual([full.serial, full.format, full.backend, full.backing, await begins(full.path)], ['data', 'raw', undefined, undefined, 'first']);
  const linked = await disks.clone(spec.id, 'data', one.id, { machineId: to, engine: 'uml', served: true, full: false });
  deepEqual([linked.format, linked.backend, linked.backing?.length], ['qcow2', 'vhost-user', 1]);
  await rejects(disks.clone(spec.id, 'data', one.id, { machineId: to, engine: 'uml', served: false, full: false }), { code: 'machine.engineCannot' });
  await disks.discard(to);
  await disks.discard(to);
  equal(existsSync(full.path) || existsSync(linked.path), false);

  await disks.restore(spec.id, 'data', one.id);
  await disks.remove(spec.id, 'data', one.id);
  await disks.remove(spec.id, 'data', one.id);
  await rejects(disks.restore(spec.id, 'data', one.id), { code: 'machine.snapshotNotFound' });
  equal(await disks.mergeable(spec.id, 'data'), false);
  await disks.merge(spec.id, 'data', {}); // nobody has it open: the next one does it
});

test('[M38] a disk that nobody has open grows, with layers and without, keeps what it has and never shrinks', async () => {
  for (const opened of [layered, plain]) {
    const spec = await stopped('first');
    await opened.disks.grow(spec.id, 'data', 2 * bytes);
    await opened.disks.grow(spec.id, 'data', 2 * bytes);
    const file = await readFile(spec.disks[0].path);
    deepEqual([file.length, file.subarray(0, bytes).equals(Buffer.alloc(bytes, 'first')), file.subarray(bytes).every((one) => one === 0)], [2 * bytes, true, true]);
    await rejects(opened.disks.grow(spec.id, 'data', bytes), { code: 'disk.cannotShrink', message: 'the disk data has 2 MiB, and cannot shrink to 1 MiB: what lies there would be lost' });
    await rejects(opened.disks.grow(spec.id, 'data', bytes + 512), { message: /has 2 MiB, and cannot shrink to 1049088 bytes/ });
  }
  const spec = await stopped('other');
  const one = wish('one');
  await disks.take(spec.id, 'data', one);
  await disks.grow(spec.id, 'data', 3 * bytes);
  await disks.grow(spec.id, 'data', 3 * bytes);
  await rejects(disks.grow(spec.id, 'data', 2 * bytes), { code: 'disk.cannotShrink' });
  const [now, kept] = [join(folder, 'grown.raw'), join(folder, 'kept.raw')];
  await disks.copy(spec.id, 'data', now, undefined, {});
  await disks.copy(spec.id, 'data', kept, one.id, {});
  deepEqual([await begins(now), (await readFile(now)).length, (await readFile(kept)).length], ['other', 3 * bytes, bytes], 'the snapshot is as it was');
  await disks.restore(spec.id, 'data', one.id);
  await disks.grow(spec.id, 'data', 2 * bytes);
  const never = await stopped('never');
  await rm(never.disks[0].path);
  await rejects(plain.disks.grow(never.id, 'data', 2 * bytes), { code: 'disk.notFound', message: /not made yet/ });
});

test('[M38] a plain file that nobody has open is cloned whole, without a snapshot; what a clone or copy is refused for is known before', async () => {
  const spec = await stopped('plain');
  equal(await disks.cloneNeedsSnapshot(spec.id, 'data', true), true);
  equal(await plain.disks.cloneNeedsSnapshot(spec.id, 'data', true), false);
  await rejects(plain.disks.cloneNeedsSnapshot(spec.id, 'data', false), { code: 'machine.engineCannot', message: /plain file without layers/, advice: /^add --full/ });
  const to = newId('machine', systemDice);
  const made = await plain.disks.clone(spec.id, 'data', undefined, { machineId: to, engine: 'fake', served: false, full: true });
  deepEqual([made.format, made.backing, await begins(made.path)], ['raw', undefined, 'plain']);
  await plain.disks.discard(to);
  equal(existsSync(made.path), false);
  equal(existsSync(join(folder, 'engine', spec.id)), false, 'nothing is left where it came from');

  const there = join(folder, 'there.raw');
  await writeFile(there, 'x');
  const refused: readonly (readonly [string, { readonly code: string; readonly message: string; readonly kind: string }])[] = [
    ['/nodir/x.raw', { code: 'disk.badPath', kind: 'invalid', message: 'the folder /nodir does not exist' }],
    [folder, { code: 'disk.badPath', kind: 'invalid', message: `${folder} is a folder` }],
    [join(there, 'x.raw'), { code: 'disk.badPath', kind: 'invalid', message: `${there} is no folder` }],
    [there, { code: 'disk.fileExists', kind: 'conflict', message: `there is a file ${there} already` }],
  ];
  for (const [path, error] of refused) {
    await rejects(plain.disks.checkCopy(spec.id, 'data', path, undefined), error);
    await rejects(plain.disks.copy(spec.id, 'data', path, undefined, {}), error);
  }
  await plain.disks.checkCopy(spec.id, 'data', join(folder, 'new.raw'), undefined);
  const never = await stopped('never');
  await rm(never.disks[0].path);
  await rejects(plain.disks.checkCopy(never.id, 'data', join(folder, 'new.raw'), undefined), { code: 'disk.notFound' });
  await rejects(plain.disks.cloneNeedsSnapshot(never.id, 'data', true), { code: 'disk.notFound' });
});

test('[M38] what cannot be done with a disk is refused with the reason, and nothing is made', async () => {
  const spec = await stopped('other');
  await rejects(disks.take('mzzzzzzzzzz', 'data', wish('x')), { code: 'machine.notFound' });
  await rejects(disks.take(spec.id, 'none', wish('x')), { code: 'disk.notFound', advice: 'it has: data' });
  await rejects(disks.copy(spec.id, 'data', join(folder, 'x'), newId('snapshot', systemDice), {}), { code: 'machine.snapshotNotFound' });
  equal(existsSync(join(folder, 'x')), false);
  for (const refused of [plain.disks.take(spec.id, 'data', wish('x')), plain.disks.list(spec.id, 'data')]) {
    await rejects(refused, (error: Error & { readonly code?: string; readonly advice?: string }) => { equal(error.code, 'machine.engineCannot'); match(`${error.message} ${error.advice}`, /plain file without layers.*back end/); return true; });
  }
  equal(await plain.disks.mergeable(spec.id, 'data'), false);
  const copied = join(folder, 'plain.raw');
  await plain.disks.copy(spec.id, 'data', copied, undefined, {});
  equal(await begins(copied), 'other', 'a copy needs no layers');
  await layered.specs.put(spec.id, { ...spec, disks: [{ ...spec.disks[0], readOnly: true }] });
  await rejects(disks.take(spec.id, 'data', wish('x')), { code: 'disk.readOnly' });
  const never = await stopped('never');
  await rm(never.disks[0].path);
  await rejects(disks.take(never.id, 'data', wish('x')), { code: 'disk.notFound', message: /not made yet/ });
  deepEqual(await disks.list(never.id, 'data'), []);
});
