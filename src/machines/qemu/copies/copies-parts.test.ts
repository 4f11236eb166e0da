/** Parts of copies that need no guest: empty qcow2 files, layers, the order of nodes, snapshots as folders. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { armFailpoints, runProcess, systemClock } from '#base';
import { keptFiles } from '../../backends/plan-pull.ts';
import type { MachineDisk } from '../../machine.ts';
import { testMachine } from '../../testing/test-daemon.ts';
import { machinePlaces } from '../machine-places.ts';
import { isBelow, mergedNode, topNode } from '../drives.ts';
import { chainOf } from '../suspended/list-disks.ts';
import { diskOnTop, disksNow, layersFolder, readMovedDisks, withDisksNow, writeMovedDisks } from './disks-record.ts';
import { flatten, refuseLeading } from './flatten-disk.ts';
import { chainOfDisk, keepOnly, linkChain } from './layers.ts';
import { diskBytes, makeOverlay } from './make-overlay.ts';
import { restoreSnapshot } from './put-snapshot.ts';
import { linkSnapshot, listSnapshots, readSnapshot, snapshotFolder, writeSnapshot, type SnapshotRecord } from './snapshot-record.ts';
import { takeStopped } from './take-snapshot.ts';

let folder: string;
before(async () => { folder = await mkdtemp(join(tmpdir(), 'strata-copies-')); });
after(() => rm(folder, { recursive: true, force: true }));

test('[Q60] an empty file on top is a qcow2 disk of the size below, small, and leads nowhere', async () => {
  for (const bytes of [512, 4 * 1024 ** 2, 20 * 1024 ** 3, 5 * 1024 ** 4]) {
    const path = join(folder, `empty-${bytes}`);
    await makeOverlay(path, bytes);
    const { stdout } = await runProcess(['qemu-img', 'info', '--output=json', path], { timeoutMs: 20_000 });
    const info = JSON.parse(stdout) as { format: string; 'virtual-size': number; 'backing-filename'?: string };
    deepEqual([info.format, info['virtual-size'], info['backing-filename']], ['qcow2', bytes, undefined]);
    await runProcess(['qemu-img', 'check', path], { timeoutMs: 20_000 });
    ok((await stat(path)).size < 1024 ** 2, `${(await stat(path)).size} bytes`);
    equal(await diskBytes({ path, format: 'qcow2' }), bytes);
    await refuseLeading({ path, format: 'qcow2' });
  }
  const none = join(folder, 'none');
  await writeFile(none, 'no disk at all, but long enough to be one');
  await rejects(diskBytes({ path: none, format: 'qcow2' }), { code: 'machine.badDisk' });
});

test('[Q64] a layer that leads to another file is not read with our rights', async () => {
  const secret = join(folder, 'secret');
  await writeFile(secret, 'secret');
  const [backed, data] = [join(folder, 'backed'), join(folder, 'data')];
  await runProcess(['qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', secret, '-F', 'raw', backed, '1M'], { timeoutMs: 20_000 });
  await runProcess(['qemu-img', 'create', '-q', '-f', 'qcow2', '-o', `data_file=${join(folder, 'else')},data_file_raw=on`, data, '1M'], { timeoutMs: 20_000 });
  for (const path of [backed, data, secret]) await rejects(flatten([{ path, format: 'qcow2' }], join(folder, 'flat')), { code: 'machine.badDisk' });
  equal(existsSync(join(folder, 'flat')), false);
});

test('[Q60] nodes of one disk are put in order from the top, and what is not in use is left out', () => {
  const names = ['b1-data', 'f-data', 'n-data', 'o2-data', 'o1-data', 'b2-data', 'n-data-2', 'fo1-data'];
  deepEqual(chainOf('data', names, 'o2-data'), ['o2-data', 'o1-data', 'n-data', 'b1-data', 'b2-data']);
  deepEqual(chainOf('data', names, 'o1-data'), ['o1-data', 'n-data', 'b1-data', 'b2-data']);
  deepEqual(chainOf('data-2', names, 'n-data-2'), ['n-data-2']);
  deepEqual(chainOf('data', names, undefined), []);
  fc.assert(fc.property(fc.nat(60), fc.nat(60), fc.string(), (overlays, below, noise) => {
    const all = [...Array.from({ length: below }, (_, at) => `b${at + 1}-x`), 'n-x', ...Array.from({ length: overlays }, (_, at) => `o${at + 1}-x`)];
    deepEqual(chainOf('x', [...all.toSorted(), noise], all.at(-1)), all.toReversed().toSorted((a, b) => rank(a) - rank(b)));
  }));
});
test('[Q70] what was merged stands where the uppermost did that it replaces, above what is left of those, however often', () => {
  deepEqual(['n-a-b', 'o5-a', 'b12-m3-x', 'o5m1-a', 'nm9-x'].map(mergedNode), ['nm1-a-b', 'o5m1-a', 'b12m1-m3-x', 'o5m2-a', 'nm10-x']);
  deepEqual(chainOf('a', ['n-a', 'o1-a', 'o5-a', 'o6-a', 'o5m1-a', 'b1-a', 'b1m1-a', 'o5m2-a', 'fo5m1-a', 'n-merge_a', 'o5m1-a-b'], 'o6-a'), ['o6-a', 'o5m2-a', 'o5m1-a', 'o5-a', 'o1-a', 'n-a', 'b1m1-a', 'b1-a']);
  deepEqual(chainOf('a', ['o2-a', 'nm1-a', 'o1-a', 'b3-a'], 'o2-a'), ['o2-a', 'o1-a', 'nm1-a', 'b3-a']);
  deepEqual(['n-a', 'b1-a', 'b1m1-a', 'o3-a', 'nm1-a'].filter(isBelow), ['b1-a']);
});
const rank = (name: string): number => (name.startsWith('n') ? 0 : Number.parseInt(name.slice(1), 10) * (name.startsWith('o') ? -1 : 1));

test('[Q61] a layer lives as long as its last user, whoever goes first', async () => {
  const [disk, one, other] = [join(folder, 'disk'), join(folder, 'one'), join(folder, 'other')];
  await writeFile(disk, 'content');
  const first = await linkChain([{ path: disk, format: 'raw' }], one);
  const second = await linkChain(first, other);
  deepEqual(await linkChain(first, other), second, 'twice is as once');
  await rm(disk);
  await keepOnly(one, []);
  equal(await readFile(second[0]?.path ?? '', 'utf8'), 'content');
  await writeFile(join(other, 'left'), '');
  await keepOnly(other, second.map((layer) => layer.path));
  equal((await readdir(other)).length, 1);
});

test('[Q61] where a disk lies now is asked of the record; a damaged one starts nothing', async () => {
  const places = machinePlaces({ name: 'x', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 1 }, 'maaaaaaaaaa');
  await mkdir(layersFolder(places), { recursive: true });
  const disk = { serial: 'data', path: '/disks/data', format: 'raw', readOnly: false } as const;
  const spec = testMachine({ id: 'maaaaaaaaaa', disks: [disk, { ...disk, serial: 'image', readOnly: true }] });
  deepEqual((await withDisksNow(places, spec)).disks, spec.disks);
  const snapshots = join(places.stateFolder, 'snapshots');
  for (const id of ['kbroken', 'kwhole']) await mkdir(join(snapshots, id), { recursive: true });
  await writeSnapshot(join(snapshots, 'kwhole'), { id: 'kwhole', name: 'one', passing: false, createdAt: 1, spec, memory: null, disks: [] });
  const top = diskOnTop('data', join(layersFolder(places), 'top'), [{ path: join(layersFolder(places), 'below'), format: 'raw' }]);
  for (const name of ['top', 'below', 'left-behind']) await writeFile(join(layersFolder(places), name), '');
  await writeMovedDisks(places, { data: { of: '/disks/data', disk: top } });
  deepEqual((await withDisksNow(places, spec)).disks, [top, spec.disks[1]]);
  deepEqual((await readdir(layersFolder(places))).sort(), ['below', 'top']);
  deepEqual(await readdir(snapshots), ['kwhole'], 'what no record names is removed, as unused layers are');
  deepEqual(disksNow({ disks: [{ ...disk, path: '/disks/another' }] }, await readMovedDisks(places)), [{ ...disk, path: '/disks/another' }], 'another disk of that serial');
  await truncate(join(places.stateFolder, 'disks.json'), 5);
  await rejects(withDisksNow(places, spec), { code: 'machine.disksLost' });
});

test('[Q61] a snapshot is whole or not there; its twin under another name shares its files', async () => {
  const places = machinePlaces({ name: 'x', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 1 }, 'mbbbbbbbbbb');
  const at = snapshotFolder(places, 'kaaa');
  await mkdir(at, { recursive: true });
  await writeFile(join(at, 'memory'), 'memory');
  equal(await readSnapshot(at), 'none');
  deepEqual(await listSnapshots(places), []);
  const record: SnapshotRecord = { id: 'kaaa', name: 'one', passing: false, createdAt: 1, spec: testMachine(), memory: null, disks: [] };
  await writeSnapshot(at, record);
  deepEqual(await listSnapshots(places), [record]);
  const twin = join(places.stateFolder, 'going-on');
  await linkSnapshot(at, twin, false);
  await linkSnapshot(at, twin, false);
  await rm(at, { recursive: true });
  deepEqual([await readSnapshot(twin), await readFile(join(twin, 'memory'), 'utf8'), existsSync(`${twin}.new`)], [record, 'memory', false]);
  await writeFile(join(twin, 'snapshot.json'), '{');
  equal(await readSnapshot(twin), 'damaged');
  await rejects(async () => snapshotFolder(places, '../x'), (error: Error) => { match(error.message, /no id of a snapshot/); return true; });
});

test('[Q63] a restore that is cut off leaves the disk as it was, also where a layer of it came from a restore', async () => {
  const places = machinePlaces({ name: 'x', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 1 }, 'mcccccccccc');
  const path = join(folder, 'restored.raw');
  await writeFile(path, Buffer.alloc(4096, 'base'));
  const spec = testMachine({ id: 'mcccccccccc', disks: [{ serial: 'data', path, format: 'raw', readOnly: false }] });
  const kept = async (id: string) => {
    const at = snapshotFolder(places, id);
    const record = await readSnapshot(at);
    ok(typeof record !== 'string');
    return { folder: at, record };
  };
  const chain = async () => chainOfDisk((await withDisksNow(places, spec)).disks[0] as MachineDisk);
  await takeStopped({ clock: systemClock }, spec, places, { id: 'kone', name: 'one', memory: false, passing: false });
  await restoreSnapshot(await kept('kone'), places, spec);
  await takeStopped({ clock: systemClock }, spec, places, { id: 'ktwo', name: 'two', memory: false, passing: false });
  const before = await chain();
  const files = await Promise.all(before.map((one) => stat(one.path).then(({ ino }) => ino)));
  armFailpoints('machines.qemu.beforePut=error');
  try { await rejects(restoreSnapshot(await kept('kone'), places, spec), { code: 'base.failpoint' }); } finally { armFailpoints(''); }
  deepEqual(await chain(), before);
  deepEqual(await Promise.all(before.map((one) => stat(one.path).then(({ ino }) => ino))), files, 'the same files');
});

test('[BE13] what is shared, or the lowest alone, stays; all between it and the top is merged', () => {
  for (const [shared, keep] of [['-', 0], ['--', 1], ['---', 1], ['-----', 1], ['--++', 2], ['-+++', 3], ['----+', 1]] as const) equal(keptFiles([...shared].map((one) => one === '+')), keep, shared);
});

test('[Q60] the guest writes to the newest of what lies on its disk, whatever other disks have', () => {
  equal(topNode('data', []), 'n-data');
  equal(topNode('data', ['n-data', 'fn-data', 'o3-other-data', 'o1-data-2']), 'n-data');
  equal(topNode('data', ['n-data', 'o2-data', 'fo2-data', 'o10-data', 'b1-data', 'o9-data']), 'o10-data');
});
