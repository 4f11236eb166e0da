/** Whether a suspended machine can go on from what is kept of it. */
import { stat } from 'node:fs/promises';
import type { MachineSpec } from '../../machine.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../open-qemu-engine.ts';
import { devicesKey } from './suspended-command.ts';
import { lookAtDisk, readSuspended, suspendedState, type SuspendedDisk, type SuspendedRecord } from './suspended-record.ts';

/** Undefined where nothing is kept; `why` where what is kept cannot be used. */
export async function checkSuspended(context: QemuContext, spec: MachineSpec, places: MachinePlaces): Promise<{ readonly record: SuspendedRecord } | { readonly why: string } | undefined> {
  const record = await readSuspended(places);
  if (record === 'none') return undefined;
  if (record === 'damaged') return { why: 'what was written of it is damaged' };
  const [qemuVersion, accelerator, bytes, changed] = await Promise.all([
    context.qemuVersion(), context.accelerator(spec.architecture), stat(suspendedState(places)).then(({ size }) => size, () => undefined), changedDisk(record.disks),
  ]);
  const why = misfit(record, spec, { qemuVersion, accelerator, bytes }) ?? changed;
  return why === undefined ? { record } : { why };
}

/** Pure. */
export function misfit(record: SuspendedRecord, spec: MachineSpec, now: { readonly qemuVersion: string; readonly accelerator: 'kvm' | 'tcg'; readonly bytes: number | undefined }): string | undefined {
  if (record.qemuVersion !== now.qemuVersion) return `it was suspended by QEMU ${record.qemuVersion}, and this is ${now.qemuVersion}`;
  if (record.accelerator !== now.accelerator) return `it was suspended under ${record.accelerator}, and this host now runs it under ${now.accelerator}`;
  if (now.bytes === undefined) return 'the file with its memory is gone';
  if (record.stateBytes !== now.bytes) return `the file with its memory has ${now.bytes} bytes instead of ${record.stateBytes}`;
  if (record.memoryMiB !== spec.memoryMiB || record.processors !== spec.processors || record.architecture !== spec.architecture) return 'it is wished with other memory or processors than it was suspended with';
  if (record.mac !== (spec.network?.mac ?? null)) return 'it is wished with another network card than it was suspended with';
  if (record.devices !== devicesKey(record)) return 'another version of this program lays its devices otherwise';
  return undefined;
}

async function changedDisk(disks: readonly SuspendedDisk[]): Promise<string | undefined> {
  for (const { disk, sizeBytes, modifiedMs } of disks) {
    const now = await lookAtDisk(disk.path).catch(() => undefined);
    if (now === undefined) return `its disk ${disk.serial} is gone`;
    if (now.sizeBytes !== sizeBytes || now.modifiedMs !== modifiedMs) return `its disk ${disk.serial} was written to since it was suspended`;
  }
  return undefined;
}
