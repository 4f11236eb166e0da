/**
 * Snapshots of one disk, whoever serves it and whether a guest uses it. They are what snapshots of machines are on the
 * host (`qemu/copies`): names for layers that nobody writes, and a record that is written last.
 */
import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { failpoint, StrataError, type Clock } from '#base';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { diskOnTop, disksNow, layersFolder, readMovedDisks, writeMovedDisks } from '../qemu/copies/disks-record.ts';
import { flatten } from '../qemu/copies/flatten-disk.ts';
import { checkedChain, newTop } from '../qemu/copies/freeze-disks.ts';
import { chainOfDisk, linkChain, type Layer, type LayerPlaces } from '../qemu/copies/layers.ts';
import { diskBytes, makeOverlay } from '../qemu/copies/make-overlay.ts';
import { restoreSnapshot } from '../qemu/copies/put-snapshot.ts';
import { dropSnapshot, listSnapshots, readSnapshot, snapshotFolder, writeSnapshot, type SnapshotRecord } from '../qemu/copies/snapshot-record.ts';
import { beginFolder, freshSuffix, recordLayers } from '../qemu/copies/take-snapshot.ts';
import type { SnapshotWish } from '../snapshots.ts';
import type { DiskWork } from './disk-carrier.ts';
import type { DiskOperations } from './disk-operations.ts';
import { keptFiles } from './plan-pull.ts';

/** A disk of a machine's wish, where its layers lie, and who has it open; undefined where nobody has. */
export interface HeldDisk {
  readonly spec: MachineSpec;
  readonly disk: MachineDisk;
  readonly places: LayerPlaces;
  readonly operations: DiskOperations | undefined;
}

/** The files of the disk, the uppermost first. */
export async function chainNow({ disk, places, operations }: HeldDisk): Promise<readonly Layer[]> {
  if (operations !== undefined) return (await operations.files(disk.serial)).map(({ path, format }) => ({ path: path ?? disk.path, format }));
  return disksNow({ disks: [disk] }, await readMovedDisks(places)).flatMap(chainOfDisk);
}

/**
 * At one moment. What says where the disk lies is written before the switch, while the new file is empty: it is right
 * before and after. Twice is as once.
 */
export async function takeOfDisk(it: HeldDisk, wish: SnapshotWish, clock: Clock): Promise<void> {
  const { spec, disk, places, operations } = it;
  const folder = snapshotFolder(places, wish.id);
  if (typeof await readSnapshot(folder) !== 'string') return;
  await beginFolder(folder);
  try {
    const chain = checkedChain(spec, disk.serial, await chainNow(it));
    const [upper] = chain;
    if (upper === undefined || await stat(upper.path).catch(() => undefined) === undefined) throw neverMade(spec, disk);
    const path = newTop(places, disk.serial, await freshSuffix(places, wish.id));
    await mkdir(layersFolder(places), { recursive: true, mode: 0o700 });
    await makeOverlay(path, await operations?.sizeBytes(disk.serial) ?? await diskBytes(upper));
    await record(it, [{ path, format: 'qcow2' }, ...chain]);
    failpoint('machines.backends.beforeFreeze');
    await operations?.putOnTop(disk.serial, path);
    failpoint('machines.backends.frozen');
    const layers = await recordLayers(folder, chain);
    await writeSnapshot(folder, {
      id: wish.id, name: wish.name, passing: wish.passing, createdAt: clock.now(), spec, memory: null,
      disks: [{ serial: disk.serial, scsiId: null, layers, path: null, format: disk.format }],
    });
  } catch (thrown) {
    await dropSnapshot(folder);
    throw thrown;
  }
}

async function record({ disk, places }: HeldDisk, chain: readonly Layer[]): Promise<void> {
  const [top, ...below] = chain;
  if (top !== undefined) await writeMovedDisks(places, { ...await readMovedDisks(places), [disk.serial]: { of: disk.path, disk: top.format === 'raw' ? { ...disk, path: top.path } : diskOnTop(disk.serial, top.path, below) } });
}

export const snapshotsOfDisk = async ({ places, disk }: Pick<HeldDisk, 'places' | 'disk'>): Promise<readonly SnapshotRecord[]> => (await listSnapshots(places)).filter((one) => layersIn(one, disk.serial) !== undefined);

const layersIn = (one: SnapshotRecord, serial: string) => one.disks.find((of) => of.serial === serial && of.layers.length > 0);

/** The disk, which nobody has open, is as it was then. Cut off anywhere, it is done again. */
export async function restoreOfDisk({ spec, disk, places }: HeldDisk, snapshotId: string): Promise<void> {
  const { folder, found } = await find(places, disk, snapshotId);
  const one = { ...found, memory: null, disks: found.disks.filter(({ serial }) => serial === disk.serial) };
  await restoreSnapshot({ folder, record: one }, places, { ...spec, disks: [disk] });
}

/** The layers of a snapshot, under its own names for them. @throws StrataError `machine.snapshotNotFound` */
export async function layersOfSnapshot(places: LayerPlaces, disk: MachineDisk, snapshotId: string): Promise<readonly Layer[]> {
  const { folder, found } = await find(places, disk, snapshotId);
  return (layersIn(found, disk.serial)?.layers ?? []).map(({ file, format }) => ({ path: join(folder, file), format }));
}

async function find(places: LayerPlaces, disk: MachineDisk, snapshotId: string): Promise<{ readonly folder: string; readonly found: SnapshotRecord }> {
  const folder = snapshotFolder(places, snapshotId);
  const found = await readSnapshot(folder);
  if (typeof found === 'string' || layersIn(found, disk.serial) === undefined) throw new StrataError(`the snapshot ${snapshotId} of the disk ${disk.serial} is ${found === 'damaged' ? 'damaged' : 'gone'}`, { code: 'machine.snapshotNotFound', kind: 'notFound', advice: 'see `strata disk snapshot ls`' });
  return { folder, found };
}

export const dropOfDisk = (places: LayerPlaces, snapshotId: string): Promise<void> => dropSnapshot(snapshotFolder(places, snapshotId));

/** A new disk that begins with these layers: on top of them, or (`full`) with a raw file of its own. */
export async function layNew(chain: readonly Layer[], serial: string, to: { readonly places: LayerPlaces; readonly path: string; readonly full: boolean; readonly signal?: AbortSignal }): Promise<MachineDisk> {
  if (to.full) {
    await mkdir(dirname(to.path), { recursive: true, mode: 0o700 });
    await flatten(chain, to.path, 'raw', to.signal);
    return { serial, path: to.path, format: 'raw', readOnly: false };
  }
  const below = await linkChain(chain, layersFolder(to.places));
  const top = newTop(to.places, serial, 'first');
  await makeOverlay(top, await diskBytes(below[0] ?? { path: top, format: 'raw' }));
  return diskOnTop(serial, top, below);
}

/** How many of its lowest files stay; undefined where there is nothing to merge, or nobody has the disk open. */
export async function filesToKeep(it: HeldDisk): Promise<number | undefined> {
  if (it.operations === undefined) return undefined;
  const chain = await chainNow(it);
  const keep = keptFiles(await Promise.all(chain.map(async ({ path }) => (await stat(path)).nlink > 1)));
  return keep < chain.length - 1 ? keep : undefined;
}

/** What lies between the disk's top and what others share goes into the top, while the guest writes on. @returns whether there was something to do */
export async function pullLayers(it: HeldDisk, work: DiskWork): Promise<boolean> {
  const keep = await filesToKeep(it);
  if (keep !== undefined) await it.operations?.pull(it.disk.serial, keep, work);
  return keep !== undefined;
}

/** A scratch disk is new at every boot: nothing says where it lies. */
export const outlives = ({ spec, disk }: Pick<HeldDisk, 'spec' | 'disk'>): boolean => spec.disks.some((one) => one.serial === disk.serial);

/** After a pull or a merge, or one that was cut off: what says where the disk lies, and the files that nobody needs. @param replaced layers that the disk had */
export async function recordChain(it: HeldDisk, replaced: readonly string[] = []): Promise<void> {
  const { disk, places } = it;
  const said = disksNow({ disks: [disk] }, await readMovedDisks(places)).flatMap(chainOfDisk);
  const chain = await chainNow(it);
  if (outlives(it)) await record(it, chain);
  failpoint('machines.backends.pulled');
  for (const path of new Set([...said.map((one) => one.path), ...replaced])) if (dirname(path) === layersFolder(places) && path !== disk.path && !chain.some((one) => one.path === path)) await rm(path, { force: true });
}

const neverMade = (spec: MachineSpec, { serial }: MachineDisk): StrataError => new StrataError(`the disk ${serial} of machine ${spec.name} was not made yet`, { code: 'disk.notFound', kind: 'notFound', advice: `\`strata machine start ${spec.name}\` makes it` });
