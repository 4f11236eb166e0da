/** Finds what is kept of a suspended machine, and whether it can go on from there. */
import { stat } from 'node:fs/promises';
import type { MachineSpec } from '../../machine.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import { misfit } from './check-suspended.ts';
import { lookAtDisk, readSuspended, suspendedState, type SuspendedDisk, type SuspendedRecord } from './suspended-record.ts';

/** Undefined where nothing is kept; `why` where what is kept cannot be used. */
export async function findSuspended(context: QemuContext, spec: MachineSpec, places: MachinePlaces): Promise<{ readonly record: SuspendedRecord } | { readonly why: string } | undefined> {
  const record = await readSuspended(places);
  if (record === 'none') return undefined;
  if (record === 'damaged') return { why: 'what was written of it is damaged' };
  const [qemuVersion, accelerator, bytes, changed] = await Promise.all([
    context.qemuVersion(), context.accelerator(spec.architecture), stat(suspendedState(places)).then(({ size }) => size, () => undefined), changedDisk(record.disks),
  ]);
  const why = misfit(record, spec, { qemuVersion, accelerator, bytes }) ?? changed;
  return why === undefined ? { record } : { why };
}

async function changedDisk(disks: readonly SuspendedDisk[]): Promise<string | undefined> {
  for (const { disk, sizeBytes, modifiedMs } of disks) {
    const now = await lookAtDisk(disk.path).catch(() => undefined);
    if (now === undefined) return `its disk ${disk.serial} is gone`;
    if (now.sizeBytes !== sizeBytes || now.modifiedMs !== modifiedMs) return `its disk ${disk.serial} was written to since it was suspended`;
  }
  return undefined;
}
