/** The driver of back ends: qemu-storage-daemon, jailed as VMMs are, with its one disk mounted into the jail. */
import { mkdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { failpoint, StrataError, systemClock, type Clock, type Instance } from '#base';
import { ensureLauncher, plugDisk, readKeeperRecord, startVmm, unplugDisk, type KeeperRecord } from '../launcher/index.ts';
import { layersFolder, withDisksNow } from '../qemu/copies/disks-record.ts';
import { openMonitor } from '../qemu/qmp/open-monitor.ts';
import { refuseHeldDisk } from '../uml/refuse-held-disk.ts';
import { allocateUid } from '../vmm/allocate-uid.ts';
import { makeCgroups } from '../vmm/cgroups.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { eraseVmm } from '../vmm/erase-vmm.ts';
import { findVmm } from '../vmm/find-vmm.ts';
import { programContents } from '../vmm/program-contents.ts';
import type { VmmContext } from '../vmm/vmm-context.ts';
import { watchExit } from '../vmm/watch-exit.ts';
import { backendCommand, jailFile, storageDaemon } from './backend-command.ts';
import { backendPlaces, keptOfDisk, machineOfBackend, serialOfBackend, sharedSocket, socketBeforeItServes, type BackendPlaces } from './backend-places.ts';
import { diskOperations } from './disk-operations.ts';
import type { BackendSpec, DiskBackends, RunningBackend } from './disk-backend.ts';

/** Its own, beside the memory of the guest, which counts as whoever's touches it first. */
const overheadMiB = 256;
/** Threads for reads and writes. */
const maxProcesses = 128;
const greetingLimitMs = 20_000;

export function openStorageDaemon(deps: { readonly instance: Instance; readonly clock?: Clock }): DiskBackends {
  const { instance } = deps;
  let launcher: Promise<string> | undefined;
  const context: VmmContext = { instance, clock: deps.clock ?? systemClock, network: undefined, launcher: () => (launcher ??= ensureLauncher(instance)) };
  return {
    start: (spec, signal) => start(context, spec, signal),
    async find(id) {
      const places = backendPlaces(instance, id);
      const seen = await findVmm(context, places);
      if (seen.found !== 'alive') return seen;
      await showSocket(places);
      return { found: 'running', backend: runningBackend(context, id, places, seen.record) };
    },
    erase: (id) => eraseVmm(context, backendPlaces(instance, id), id),
  };
}

async function start(context: VmmContext, { id, disk: wished, memoryMiB }: BackendSpec, signal: AbortSignal | undefined): Promise<RunningBackend> {
  const places = backendPlaces(context.instance, id);
  const kept = keptOf(context.instance, id);
  const { disks: [disk = wished] } = await withDisksNow(kept, { disks: [wished] });
  await refuseHeldDisk(context, { id }, disk);
  const uid = await allocateUid(context.instance, id);
  await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
  const cgroups = await makeCgroups(context.instance, id, { memoryBytes: (memoryMiB + overheadMiB) * 1024 * 1024, processes: maxProcesses });
  failpoint('machines.backends.beforeLaunch');
  let record: KeeperRecord | undefined;
  try {
    record = await startVmm(await context.launcher(), places.runFolder, { uid, cgroups, devices: ['/dev/null', '/dev/zero', '/dev/urandom'], processes: maxProcesses, ...programContents(storageDaemon), ...backendCommand(disk, layersFolder(kept)) }, signal);
    failpoint('machines.backends.afterLaunch');
    const monitor = openMonitor(places.monitor, { connectMs: greetingLimitMs });
    try { await monitor.connection(); } finally { monitor.close(); }
    await showSocket(places);
    return runningBackend(context, id, places, record);
  } catch (cause) {
    if (cause instanceof StrataError && cause.code === 'machine.alreadyRuns') throw cause; // another start was faster
    throw await undo(context, places, disk.serial, record, cause);
  }
}

/** It answers, so VMMs may find it. Also where an earlier daemon had no time for it. */
async function showSocket({ shared }: BackendPlaces): Promise<void> {
  await rename(join(shared, socketBeforeItServes), join(shared, sharedSocket)).catch((cause: NodeJS.ErrnoException) => { if (cause.code !== 'ENOENT') throw cause; });
}

const keptOf = (instance: Instance, id: string) => keptOfDisk(instance, machineOfBackend(id), serialOfBackend(id));

/** Nothing of a failed start is left running; its own words are in the error. The folder stays: a VMM may see it. */
async function undo(context: VmmContext, places: BackendPlaces, serial: string, known: KeeperRecord | undefined, cause: unknown): Promise<StrataError> {
  const record = known ?? await readKeeperRecord(places.runFolder);
  const exit = record === undefined ? null : (await endVmm(record), await awaitExit(context, places, record));
  const said = exit?.stderr.trim().split('\n').slice(-2).join(' | ') ?? '';
  const words = said === '' && cause instanceof Error ? cause.message : said;
  const locked = /\block\b|is in use( by another machine)?$/i.test(words);
  return new StrataError(locked ? `the disk ${serial} is in use by another machine` : `the back end of the disk ${serial} could not be started: ${words}`, {
    code: locked ? 'machine.diskLocked' : 'backend.failed', kind: locked ? 'conflict' : 'unavailable', cause, advice: locked ? 'detach it there first' : 'see `strata doctor`; qemu-storage-daemon comes with qemu-system-common',
  });
}

function runningBackend(context: VmmContext, id: string, places: BackendPlaces, record: KeeperRecord): RunningBackend {
  const exit = watchExit(context, places, record);
  const monitor = openMonitor(places.monitor);
  const handIn = async (name: string, path: string, readOnly = false): Promise<string> => {
    await plugDisk(await context.launcher(), record, { path, readOnly }, jailFile(name));
    return jailFile(name);
  };
  const layers = layersFolder(keptOf(context.instance, id));
  return {
    id, process: record.vmm, exited: exit.promise,
    disks: diskOperations({
      monitor, clock: context.clock, handIn,
      takeBack: async (name) => unplugDisk(await context.launcher(), record, jailFile(name)),
      pathsOf: async (filenames) => filenames.map((filename) => (basename(filename) === serialOfBackend(id) ? null : join(layers, basename(filename)))),
    }),
    release() {
      exit.stop();
      monitor.close();
    },
    async kill() {
      await endVmm(record);
      return awaitExit(context, places, record);
    },
  };
}
