/**
 * Suspends a machine: it stands still, QEMU writes memory and devices into a file, a record says what they depend on, then
 * QEMU ends. Cut off anywhere, it is begun again, or the machine goes on: until the record is written all is in QEMU still.
 */
import { mkdir, open, stat } from 'node:fs/promises';
import { z } from 'zod';
import { failpoint, StrataError, waitUntil } from '#base';
import { saveStateToFile, type KeeperRecord } from '../../launcher/index.ts';
import type { MachineSpec } from '../../machine.ts';
import { backendDisks } from '../../backends/backend-places.ts';
import { awaitExit, endVmm } from '../../vmm/end-vmm.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import type { Monitor } from '../qmp/open-monitor.ts';
import type { StartRecord } from '../start-record.ts';
import { findSuspended } from './find-suspended.ts';
import { listDisks } from './list-disks.ts';
import { devicesKey, type SuspendedDevices } from './suspended-command.ts';
import { dropSuspended, lookAtDisk, suspendedState, writeSuspended, type Layout } from './suspended-record.ts';

export interface Suspending {
  readonly context: QemuContext;
  readonly spec: MachineSpec;
  readonly places: MachinePlaces;
  readonly vmm: KeeperRecord;
  readonly start: StartRecord;
  readonly monitor: Monitor;
  readonly serials: () => Promise<readonly string[]>;
}

const saveLimitMs = 300_000;
const quitLimitMs = 5000;
/** Devices, and what QEMU writes about each page; a captured QEMU shall not fill the host's disk. */
const slackBytes = 64 * 1024 * 1024;
const noLimit = 2 ** 40;
const migrationSchema = z.looseObject({ status: z.string().max(50).optional(), 'error-desc': z.string().max(2000).optional() });
const statusSchema = z.looseObject({ status: z.string().max(50) });

export async function suspendMachine(it: Suspending): Promise<void> {
  const { context, spec, places, monitor, vmm } = it;
  if (backendDisks(spec.disks).length > 0) throw new StrataError(`machine ${spec.name} has disks that back ends serve, which end with it`, { code: 'machine.engineCannot', kind: 'refused', advice: 'pause it' });
  await monitor.execute('stop');
  await endMigration(monitor); // before its end is asked for: it may come to it meanwhile
  if (!(await isWritten(it))) await write(it);
  failpoint('machines.qemu.suspended');
  await monitor.execute('quit').catch(() => undefined); // it may be gone before it has answered
  await awaitExit(context, places, vmm, quitLimitMs).catch(async () => {
    await endVmm(vmm);
    await awaitExit(context, places, vmm);
  });
}

/** By a daemon that ended right after. */
async function isWritten({ context, spec, places, monitor }: Suspending): Promise<boolean> {
  if (statusSchema.parse(await monitor.execute('query-status')).status !== 'postmigrate') return false;
  const kept = await findSuspended(context, spec, places);
  if (kept !== undefined && 'record' in kept) return true;
  // QEMU takes no second migration before it has gone on: for a moment, with nothing kept that would be old then.
  await dropSuspended(places);
  await monitor.execute('cont');
  await monitor.execute('stop');
  return false;
}

async function write(it: Suspending): Promise<void> {
  const { context, spec, places, monitor, vmm, start } = it;
  await mkdir(places.stateFolder, { recursive: true, mode: 0o700 });
  await dropSuspended(places);
  const disks = await listDisks(monitor, vmm.vmm.pid, await it.serials());
  await monitor.execute('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state: false }] });
  await monitor.execute('migrate-set-parameters', { 'max-bandwidth': noLimit });
  failpoint('machines.qemu.beforeSave');
  const file = suspendedState(places);
  await saveStateToFile(await context.launcher(), places.passing, file);
  failpoint('machines.qemu.saving');
  await awaitSaved(monitor, file, spec);
  const stateBytes = await flush(file);
  const devices: SuspendedDevices = {
    qemuVersion: await context.qemuVersion(), architecture: spec.architecture, accelerator: start.accelerator, processors: spec.processors, memoryMiB: spec.memoryMiB,
    layout: layoutOf(start), mac: spec.network?.mac ?? null, disks: await Promise.all(disks.map(async ({ disk, scsiId }) => ({ disk, scsiId, ...await lookAtDisk(disk.path) }))),
  };
  failpoint('machines.qemu.beforeSuspendedRecord');
  await writeSuspended(places, { ...devices, devices: devicesKey(devices), stateBytes, at: context.clock.now() });
}

export const layoutOf = ({ layout, startedBy }: StartRecord): Layout => layout ?? (startedBy.way === 'template' || startedBy.way === 'pool' ? 'template' : 'cold');

/** Of an earlier attempt, whose file is nobody's. One that ended after `cont` would stop the guest again. */
export async function endMigration(monitor: Monitor): Promise<void> {
  await monitor.execute('migrate_cancel');
  const over = async () => !['setup', 'active', 'device', 'cancelling', 'pre-switchover'].includes(migrationSchema.parse(await monitor.execute('query-migrate')).status ?? 'none');
  await waitUntil(over, { what: 'QEMU has ended its earlier attempt', limitMs: 10_000, everyMs: 5 });
}

async function awaitSaved(monitor: Monitor, file: string, spec: MachineSpec): Promise<void> {
  const mostBytes = spec.memoryMiB * 1024 * 1024 + slackBytes;
  const failed = (why: string) => new StrataError(`machine ${spec.name} could not be suspended: ${why}`, { code: 'machine.suspendFailed', kind: 'unavailable', advice: 'it goes on; see that the host\'s disk has room for its memory' });
  await waitUntil(async () => {
    if ((await stat(file)).size > mostBytes) throw failed('QEMU writes more than the machine has');
    const migration = migrationSchema.parse(await monitor.execute('query-migrate'));
    if (migration.status === 'failed' || migration.status === 'cancelled') throw failed(migration['error-desc'] ?? 'QEMU could not write its memory down');
    return migration.status === 'completed';
  }, { what: 'QEMU has written its memory down', limitMs: saveLimitMs, everyMs: 10 });
}

/** On the disk, before anything says that it is there. */
async function flush(path: string): Promise<number> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}
