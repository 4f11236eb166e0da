/**
 * Lets a machine go on from a snapshot's memory: a new QEMU with the devices the snapshot's machine had, a copy of its
 * memory that is its own, and its devices' state. Its disks are on top of the snapshot's. What was
 * put there for it is removed before the guest runs. The guest gets name, id, card's address, time and random numbers before
 * anybody has its agent (machine-session.ts).
 */
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asStrataError, failpoint, hostBootId, StrataError } from '#base';
import type { RunningMachine } from '../../engine.ts';
import { readKeeperRecord, type KeeperRecord } from '../../launcher/index.ts';
import type { MachineDisk, MachineSpec } from '../../machine.ts';
import { awaitExit, endVmm } from '../../vmm/end-vmm.ts';
import { jailContents } from '../jail-contents.ts';
import { greet, launch } from '../launch-machine.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import { openMonitor } from '../qmp/open-monitor.ts';
import { restoreState } from '../restore-state.ts';
import { openRunningMachine, socketsOf } from '../running-machine.ts';
import { writeStartRecord, type StartRecord } from '../start-record.ts';
import { suspendedCommand } from '../suspended/suspended-command.ts';
import { jailDescriptors } from '../templates/template-shape.ts';
import { diskOnTop, disksNow, layersFolder, readMovedDisks } from './disks-record.ts';
import { linkChain } from './layers.ts';
import { diskBytes, makeOverlay } from './make-overlay.ts';
import { devicesFile, dropSnapshot, goingOnFolder, memoryFile, readSnapshot, type SnapshotRecord } from './snapshot-record.ts';

const restoreLimitMs = 60_000;

/** Why this machine cannot go on from it; undefined where it can. */
export async function misfitOfMemory(context: QemuContext, spec: MachineSpec, folder: string, record: SnapshotRecord): Promise<string | undefined> {
  const { memory } = record;
  if (memory === null) return 'it has no memory';
  const [qemuVersion, accelerator, bytes, size] = await Promise.all([context.qemuVersion(), context.accelerator(spec.architecture), sizeOf(devicesFile(folder)), sizeOf(memoryFile(folder))]);
  if (memory.qemuVersion !== qemuVersion) return `it was taken of QEMU ${memory.qemuVersion}, and this is ${qemuVersion}`;
  if (memory.accelerator !== accelerator) return `it was taken under ${memory.accelerator}, and this host now runs it under ${accelerator}`;
  if (memory.hostBootId !== null && memory.hostBootId !== hostBootId()) return 'the host was restarted before its memory was used';
  if (memory.memoryMiB !== spec.memoryMiB || memory.processors !== spec.processors || memory.architecture !== spec.architecture) return 'the machine is wished with other memory or processors than it had';
  if ((memory.mac === null) !== (spec.network === null)) return 'the machine is wished with another network card than it had';
  if (bytes !== memory.stateBytes || size !== memory.memoryMiB * 1024 * 1024) return 'the files with its memory are not as they were written';
  return undefined;
}

const sizeOf = (path: string): Promise<number | undefined> => stat(path).then(({ size }) => size, () => undefined);

/** Undefined where nothing was put there; what cannot be used is dropped, and says why. */
export async function startFromMemory(context: QemuContext, spec: MachineSpec, places: MachinePlaces, signal: AbortSignal | undefined): Promise<{ readonly machine: RunningMachine } | { readonly why: string } | undefined> {
  const folder = goingOnFolder(places);
  const record = await readSnapshot(folder);
  if (record === 'none') return undefined;
  const why = record === 'damaged' ? 'what was written of it is damaged' : await misfitOfMemory(context, spec, folder, record);
  const gone = why !== undefined || record === 'damaged' ? { why: why ?? '' } : await attempt(context, spec, places, record, signal);
  if ('machine' in gone) return gone;
  context.log.warn({ machineId: spec.id, why: gone.why }, 'the memory of a snapshot cannot be used and is dropped');
  await dropSnapshot(folder);
  return { why: `the memory of its snapshot was dropped: ${gone.why}` };
}

async function attempt(context: QemuContext, spec: MachineSpec, places: MachinePlaces, record: SnapshotRecord, signal: AbortSignal | undefined): Promise<{ readonly machine: RunningMachine } | { readonly why: string }> {
  const started: { record?: KeeperRecord } = {};
  try {
    return { machine: await start(context, spec, places, record, started, signal) };
  } catch (thrown) {
    const error = asStrataError(thrown, 'going on from a snapshot');
    if (error.code === 'machine.alreadyRuns') throw error;
    const keeper = started.record ?? await readKeeperRecord(places.runFolder);
    const exit = keeper === undefined ? null : (await endVmm(keeper), await awaitExit(context, places, keeper));
    const words = exit?.stderr.trim().split('\n').slice(-2).join(' | ') ?? '';
    const why = words === '' ? error.message : `${error.message}: ${words}`;
    if (error.code === 'machine.stateRefused') return { why };
    throw new StrataError(`machine ${spec.name} did not go on from its snapshot: ${why}`, { code: 'machine.resumeFailed', kind: error.kind, cause: error, advice: 'its snapshot is kept; it is tried again' });
  }
}

async function start(context: QemuContext, spec: MachineSpec, places: MachinePlaces, kept: SnapshotRecord, started: { record?: KeeperRecord }, signal: AbortSignal | undefined): Promise<RunningMachine> {
  signal?.throwIfAborted();
  const { memory } = kept;
  if (memory === null) throw new StrataError('the snapshot has no memory', { code: 'machine.noMemory', kind: 'internal' });
  await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
  const folder = goingOnFolder(places);
  const [tap, disks] = await Promise.all([spec.network === null || context.network === undefined ? null : context.network.ensureTap(spec.id), openedDisks(spec, places, folder, kept)]);
  const layout = memory.layout.startsWith('template') ? 'template-copy' : 'cold-copy';
  const devices = { ...memory, layout, mac: spec.network?.mac ?? null, disks: disks.map((one) => ({ ...one, sizeBytes: 0, modifiedMs: 0 })) } as const;
  const command = suspendedCommand(devices, spec.id, { state: devicesFile(folder), memory: memoryFile(folder), tap });
  const startedBy = { way: 'snapshot', why: '' } as const;
  const facts = { accelerator: memory.accelerator, kernel: null, tap, scratch: null, seed: null };
  const keeper = await launch(context, { spec, places, facts, startedBy, description: { ...jailContents(spec.architecture, null), ownDescriptors: jailDescriptors, hugeHeap: true, ...command } }, signal);
  started.record = keeper;
  failpoint('machines.qemu.afterLaunch');
  const monitor = openMonitor(places.monitor);
  const sockets = socketsOf(context, spec);
  const begun: StartRecord = { accelerator: memory.accelerator, uid: keeper.uid, startedBy, layout, ready: true };
  const machine = openRunningMachine(context, spec, keeper, begun, monitor, sockets);
  try {
    await greet(monitor.connection(), signal);
    // Its guest stood still with the line open, and goes on with an open one.
    const line = await sockets.openAgentLine();
    await restoreState(await monitor.connection(), { state: command.state, limitMs: restoreLimitMs, of: 'the snapshot\'s devices' }, signal);
    failpoint('machines.qemu.restored');
    writeStartRecord(places, begun);
    failpoint('machines.qemu.beforeDropGoingOn');
    await dropSnapshot(folder);
    failpoint('machines.qemu.beforeGoOn');
    sockets.handOn(line);
    await monitor.execute('cont');
    return machine;
  } catch (thrown) {
    await machine.release();
    throw thrown;
  }
}

/** In the places they had; those of the wish where their content lies now, the scratch disk on top of the snapshot's. */
async function openedDisks(spec: MachineSpec, places: MachinePlaces, folder: string, kept: SnapshotRecord): Promise<readonly { readonly disk: MachineDisk; readonly scsiId: number }[]> {
  const now = disksNow(spec, await readMovedDisks(places));
  const opened = [];
  for (const { serial, scsiId, layers, path, format } of kept.disks) {
    const wished = now.find((disk) => disk.serial === serial);
    const disk = wished ?? (path === null ? await scratchOnTop(serial, places, folder, layers) : { serial, path, format, readOnly: true });
    opened.push({ disk, scsiId: scsiId ?? 0 });
  }
  return opened;
}

async function scratchOnTop(serial: string, places: MachinePlaces, folder: string, layers: SnapshotRecord['disks'][number]['layers']): Promise<MachineDisk> {
  const below = await linkChain(layers.map(({ file, format }) => ({ path: join(folder, file), format })), layersFolder(places));
  const [first] = below;
  if (first === undefined) throw new StrataError(`the snapshot has nothing of the disk ${serial}`, { code: 'machine.stateRefused', kind: 'unavailable' });
  const top = join(layersFolder(places), `top-${serial}-going-on`);
  await rm(top, { force: true });
  await makeOverlay(top, await diskBytes(first), { lasting: false });
  return diskOnTop(serial, top, below);
}
