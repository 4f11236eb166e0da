/** Whether what is kept of a suspended machine fits the machine, this QEMU and this program. Pure. */
import type { MachineSpec } from '../../machine.ts';
import { devicesKey } from './suspended-command.ts';
import type { SuspendedRecord } from './suspended-record.ts';

/** Why not; undefined where it fits. */
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
