/** Boots a machine: its uid, folders, scratch disk, tap and limits, then UML. */
import { lstat, mkdir } from 'node:fs/promises';
import { failpoint, isAlive, StrataError, waitUntil } from '#base';
import type { RunningMachine } from '../engine.ts';
import { startVmm, type KeeperRecord } from '../launcher/index.ts';
import { sharedFolders } from '../backends/backend-places.ts';
import type { MachineSpec } from '../machine.ts';
import { releaseReserve } from '../pooled/release-reserve.ts';
import { undoLaunched } from '../pooled/undo-launched.ts';
import { allocateUid } from '../vmm/allocate-uid.ts';
import { makeCgroups } from '../vmm/cgroups.ts';
import { makeScratchDisk } from '../vmm/scratch-disk.ts';
import type { VmmPlaces } from '../vmm/vmm-places.ts';
import { umlCommand, type UmlFacts } from './command-line.ts';
import { jailContents } from './jail-contents.ts';
import { knownLoopsPerJiffy } from './loops-per-jiffy.ts';
import type { UmlContext } from './uml-context.ts';
import { refuseCowDisk } from './refuse-cow-disk.ts';
import { refuseHeldDisk } from './refuse-held-disk.ts';
import { openRunningMachine } from './running-machine.ts';
import { writeStartRecord, type StartRecord } from './start-record.ts';
import { jail, umlPlaces } from './uml-places.ts';

/** UML's own memory, and the host kernel's for its processes, beside the guest's. */
const overheadMiB = 256;
/** Beside the guest's memory in its tmpfs: a pid file and sockets. */
const memorySlackBytes = 1024 * 1024;
/** Each process of the guest is one of the host. */
const maxProcesses = 4096;
const mconsoleLimitMs = 20_000;

export interface BootOptions {
  readonly signal?: AbortSignal;
  /** Lets the kernel measure its delay loop and say so on the console. */
  readonly measure?: boolean;
  /** Why it is no machine from the pool; default: nobody asked. */
  readonly why?: string;
}

export async function bootMachine(context: UmlContext, spec: MachineSpec, { signal, measure = false, why = '' }: BootOptions = {}): Promise<RunningMachine> {
  const places = umlPlaces(context.instance, spec.id);
  const started: { record?: KeeperRecord } = {};
  try {
    const begun: StartRecord = { startedBy: { way: 'cold', why }, ready: true };
    const record = await launch(context, { spec, places, begun, measure }, signal);
    started.record = record;
    failpoint('machines.uml.afterLaunch');
    await awaitMconsole(context, record, signal);
    return openRunningMachine(context, spec, record, begun);
  } catch (error) {
    throw await undoLaunched(context, { spec, places, record: started.record, vmm: 'UML' }, error);
  }
}

export interface Launch {
  readonly spec: MachineSpec;
  readonly places: VmmPlaces;
  readonly begun: StartRecord;
  readonly measure?: boolean;
  /** It runs only while nobody else wants the processor. */
  readonly idle?: boolean;
}

export async function launch(context: UmlContext, { spec, places, begun, measure = false, idle = false }: Launch, signal: AbortSignal | undefined): Promise<KeeperRecord> {
  const [guestOs, tap, loopsPerJiffy] = await Promise.all([
    context.guestOs(spec.architecture),
    spec.network === null || context.network === undefined ? null : context.network.ensureTap(spec.id),
    measure ? null : knownLoopsPerJiffy(context.instance),
    spec.scratchMiB === 0 ? undefined : makeScratchDisk(places.scratch, spec.scratchMiB),
  ]);
  await refuseDisks(context, spec);
  signal?.throwIfAborted();
  const facts: UmlFacts = { tap, loopsPerJiffy, scratch: spec.scratchMiB === 0 ? null : places.scratch, measure };
  await releaseReserve(context, places); // of its last run
  const uid = await allocateUid(context.instance, spec.id);
  await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
  const bytes = spec.memoryMiB * 1024 * 1024;
  const cgroups = await makeCgroups(context.instance, spec.id, { memoryBytes: bytes + overheadMiB * 1024 * 1024, processes: maxProcesses });
  const contents = jailContents(guestOs);
  writeStartRecord(places, begun);
  failpoint('machines.uml.beforeLaunch');
  return startVmm(await context.launcher(), places.runFolder, {
    uid, cgroups, ...contents, readable: [...contents.readable, ...sharedFolders(context.instance, spec.id, spec.disks)], devices: ['/dev/null', '/dev/zero', '/dev/urandom'], processes: maxProcesses, traces: true, idle,
    memory: { path: jail.memory, bytes: bytes + memorySlackBytes }, ...umlCommand(spec, facts),
  }, signal);
}

/** @throws StrataError `machine.diskLocked`, `machine.diskNotRaw` */
export async function refuseDisks(context: Pick<UmlContext, 'instance'>, spec: Pick<MachineSpec, 'id' | 'disks'>): Promise<void> {
  for (const disk of spec.disks.filter((one) => one.backend === undefined)) {
    await refuseHeldDisk(context, spec, disk);
    await refuseCowDisk(disk);
  }
}

/** Its socket lies in the jail, seen from here through the process; looked at, never followed. */
async function awaitMconsole(context: UmlContext, record: KeeperRecord, signal: AbortSignal | undefined): Promise<void> {
  const path = `/proc/${record.vmm.pid}/root${jail.mconsole}`;
  await waitUntil(async () => {
    signal?.throwIfAborted();
    if (!(await isAlive(record.vmm))) throw new StrataError('UML ended while it started', { code: 'machine.vmmFailed', kind: 'unavailable' });
    return lstat(path).then((status) => status.isSocket(), () => false);
  }, { what: 'UML listens for commands', limitMs: mconsoleLimitMs, everyMs: 5, clock: context.clock });
}
