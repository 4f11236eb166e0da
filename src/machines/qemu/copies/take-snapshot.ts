/**
 * Takes a snapshot of a machine. One that runs stands still only while its disks are switched, its devices are written and
 * the pages that are its own are copied, all at once; it goes on whatever became of that. Taken again under the same id it is the same.
 */
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { z } from 'zod';
import { failpoint, hostBootId, StrataError } from '#base';
import { copyMemory, type GuestMemory, type KeeperRecord, type MemoryCopy } from '../../launcher/index.ts';
import type { JobsAside } from '../../backends/jobs-aside.ts';
import type { MachineSpec } from '../../machine.ts';
import type { SnapshotWish } from '../../snapshots.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { PluggedDisks } from '../plugged-disks.ts';
import type { QemuContext } from '../qemu-context.ts';
import type { Monitor } from '../qmp/open-monitor.ts';
import type { StartRecord } from '../start-record.ts';
import { listDisks, type RunningDisk } from '../suspended/list-disks.ts';
import { layoutOf } from '../suspended/suspend-machine.ts';
import { freezeStopped, prepareFreeze, type Freezing, type FrozenDisk } from './freeze-disks.ts';
import { linkLayer, type Layer, type LayerPlaces } from './layers.ts';
import { devicesFile, dropSnapshot, memoryFile, readSnapshot, snapshotFolder, writeSnapshot, type SnapshotRecord } from './snapshot-record.ts';

export interface Taking {
  readonly context: QemuContext;
  readonly spec: MachineSpec;
  readonly places: MachinePlaces;
  readonly vmm: KeeperRecord;
  readonly start: StartRecord;
  readonly monitor: Monitor;
  readonly jobs: JobsAside;
  readonly handInto: PluggedDisks['handInto'];
  readonly serials: () => Promise<readonly string[]>;
}

const devicesLimitMs = 60_000;
/** Where guests' memory begins. */
const memoryStart = { x86_64: '0x0', aarch64: '0x40000000' } as const;

export async function takeRunning(it: Taking, wish: SnapshotWish): Promise<void> {
  const { context: { readyVmms }, spec, places, start } = it;
  const folder = snapshotFolder(places, wish.id);
  if (typeof await readSnapshot(folder) !== 'string') return; // by a daemon that ended right after
  const forkId = wish.memory ? wish.goesOnAs : undefined;
  if (forkId === undefined) return takeInto(folder, it, wish);
  readyVmms.begin(forkId, { spec, start });
  try { await takeInto(folder, it, wish); } catch (thrown) {
    await readyVmms.drop(forkId);
    throw thrown;
  }
  readyVmms.fill(forkId, wish.id, folder);
}

async function takeInto(folder: string, it: Taking, wish: SnapshotWish): Promise<void> {
  const { context, spec, places, monitor, jobs, vmm, start } = it;
  await beginFolder(folder);
  const launcher = await context.launcher();
  const [disks, suffix, memory] = await Promise.all([
    it.serials().then((serials) => listDisks(monitor, vmm.vmm.pid, serials)), freshSuffix(places, wish.id), wish.memory ? findMemory(monitor, spec) : undefined,
  ]);
  refuseNothing(spec, wish, disks.some((one) => !one.disk.readOnly && one.disk.serial !== 'scratch'));
  const standsStill = Promise.withResolvers<void>();
  standsStill.promise.catch(() => undefined); // where nobody waits for it yet
  let frozen: readonly FrozenDisk[];
  const copy: MemoryCopy | undefined = memory === undefined ? undefined : copyMemory(launcher, vmm, memory, memoryFile(folder), standsStill.promise);
  // All that can be done while it runs.
  const prepared = prepareFreeze({ places, spec, monitor, launcher, handInto: it.handInto }, disks, suffix, memory === undefined ? undefined : devicesFile(folder));
  try {
    const [freezing] = await Promise.all([prepared, copy?.begun]);
    frozen = await jobs.aside(() => freezeAll(it, wish, { freezing, copied: copy?.copied, standsStill: standsStill.resolve }));
  } catch (thrown) {
    standsStill.reject(thrown);
    await copy?.over;
    await prepared.then((freezing) => freezing.undo(), () => undefined); // an overlay that is in use is not removed
    await dropSnapshot(folder);
    throw thrown;
  }
  failpoint('machines.qemu.beforeSnapshotRecord');
  const [stateBytes] = await Promise.all([memory === undefined ? 0 : settle(folder, wish.passing), copy?.over]);
  await writeSnapshot(folder, {
    ...recordOf(wish, spec, context), disks: await recordDisks(folder, frozen, disks),
    memory: memory === undefined ? null : {
      qemuVersion: await context.qemuVersion(), architecture: spec.architecture, accelerator: start.accelerator, processors: spec.processors, memoryMiB: spec.memoryMiB,
      layout: layoutOf(start), mac: spec.network?.mac ?? null, stateBytes, hostBootId: wish.passing ? hostBootId() : null,
    },
  });
}

/** While nothing is written but by the guest, which stands still. */
async function freezeAll({ context, spec, monitor }: Taking, wish: SnapshotWish, { freezing, copied, standsStill }: { readonly freezing: Freezing; readonly copied: Promise<void> | undefined; readonly standsStill: () => void }): Promise<readonly FrozenDisk[]> {
  const { devicesSet } = freezing;
  const stood = z.looseObject({ running: z.boolean() }).parse(await monitor.execute('query-status')).running === false;
  const began = context.clock.monotonic();
  try {
    await monitor.execute('stop');
    standsStill();
    const [frozen] = await Promise.all([
      freezing.freeze(), copied,
      wish.memory ? monitor.execute('xen-save-devices-state', { filename: `/dev/fdset/${devicesSet}`, live: true }, { timeoutMs: devicesLimitMs }) : undefined,
    ]);
    return frozen;
  } finally {
    if (!stood) await monitor.execute('cont');
    context.log.info({ machineId: spec.id, snapshotId: wish.id, stoodStillMs: Math.round(context.clock.monotonic() - began) }, 'a machine was copied');
    if (wish.memory) await monitor.execute('remove-fd', { 'fdset-id': devicesSet }).catch(() => undefined); // QEMU removes a set with its last use
  }
}

export async function takeStopped(context: Pick<QemuContext, 'clock'>, spec: MachineSpec, places: MachinePlaces, wish: SnapshotWish): Promise<void> {
  const folder = snapshotFolder(places, wish.id);
  if (typeof await readSnapshot(folder) !== 'string') return;
  if (wish.memory) throw new StrataError(`machine ${spec.name} does not run, and has no memory to keep`, { code: 'machine.noMemory', kind: 'refused', advice: 'leave --memory out, or start it first' });
  refuseNothing(spec, wish, spec.disks.some((disk) => !disk.readOnly));
  await beginFolder(folder);
  const frozen = await freezeStopped(places, spec, await freshSuffix(places, wish.id));
  failpoint('machines.qemu.beforeSnapshotRecord');
  const disks = spec.disks.map((disk) => ({ disk, scsiId: null }));
  await writeSnapshot(folder, { ...recordOf(wish, spec, context), memory: null, disks: await recordDisks(folder, frozen, disks) });
}

const recordOf = (wish: SnapshotWish, spec: MachineSpec, context: Pick<QemuContext, 'clock'>): Pick<SnapshotRecord, 'id' | 'name' | 'passing' | 'createdAt' | 'spec'> => ({ id: wish.id, name: wish.name, passing: wish.passing, createdAt: context.clock.now(), spec });

async function recordDisks(folder: string, frozen: readonly FrozenDisk[], disks: readonly Pick<RunningDisk, 'disk'>[] & readonly { readonly scsiId: number | null }[]): Promise<SnapshotRecord['disks']> {
  const recorded: SnapshotRecord['disks'] = [];
  for (const { disk, scsiId } of disks) {
    const layers = await recordLayers(folder, frozen.find((one) => one.serial === disk.serial)?.layers ?? []);
    recorded.push({ serial: disk.serial, scsiId, layers, path: layers.length === 0 ? disk.path : null, format: disk.format });
  }
  return recorded;
}

export async function recordLayers(folder: string, layers: readonly Layer[]): Promise<SnapshotRecord['disks'][number]['layers']> {
  const recorded = [];
  for (const { path, format } of layers) recorded.push({ file: await linkLayer(path, folder), format });
  return recorded;
}

/** A machine of the guest OS gets a new scratch disk with every boot: without memory, nothing of it would come back. */
function refuseNothing(spec: MachineSpec, wish: SnapshotWish, hasDisk: boolean): void {
  if (wish.memory || wish.passing || hasDisk) return;
  throw new StrataError(`machine ${spec.name} has no disk that outlives a boot: a snapshot without memory would hold nothing`, { code: 'machine.nothingToKeep', kind: 'refused', advice: 'add --memory while it runs' });
}

export async function beginFolder(folder: string): Promise<void> {
  await dropSnapshot(folder); // of an attempt that was cut off
  await mkdir(folder, { recursive: true, mode: 0o700 });
}

/** An attempt that was cut off may have left its files in use. */
export async function freshSuffix(places: LayerPlaces, id: string): Promise<string> {
  const names = await readdir(`${places.stateFolder}/layers`).catch(() => []);
  let at = 0;
  while (names.some((name) => name.endsWith(`-${id}-${at}`))) at += 1;
  return `${id}-${at}`;
}

async function findMemory(monitor: Monitor, spec: MachineSpec): Promise<GuestMemory> {
  const answer = z.string().max(500).parse(await monitor.execute('human-monitor-command', { 'command-line': `gpa2hva ${memoryStart[spec.architecture]}` }));
  const address = / is 0x([0-9a-f]{4,16})\s*$/.exec(answer)?.[1];
  if (address === undefined) throw new StrataError(`QEMU does not say where the memory of machine ${spec.name} lies`, { code: 'machine.copyFailed', kind: 'unavailable' });
  return { address, bytes: spec.memoryMiB * 1024 * 1024 };
}

/** On the disk before anything says that it is there, unless it is to be used at once. Bytes of the devices' state. */
async function settle(folder: string, passing: boolean): Promise<number> {
  for (const path of passing ? [] : [memoryFile(folder), devicesFile(folder)]) {
    const file = await open(path, 'r+');
    try { await file.sync(); } finally { await file.close(); }
  }
  return (await stat(devicesFile(folder))).size;
}
