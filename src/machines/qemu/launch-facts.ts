/** What each launch of QEMU is given beside its command line. */
import type { MachineLimits } from '../vmm/cgroups.ts';
import { translationCacheMiB } from './command-line.ts';

/** QEMU's own memory beside the guest's and the translation cache. */
const overheadMiB = 256;

/** @param copiesPages its memory is a private mapping of a template's: what was a hole there is had twice, once as a page of the template */
export function machineLimits(memoryMiB: number, copiesPages: boolean): MachineLimits {
  return { memoryBytes: (memoryMiB * (copiesPages ? 2 : 1) + overheadMiB + translationCacheMiB) * 1024 * 1024, processes: 256 };
}

/** Devices in the jail. */
export function machineDevices(accelerator: 'kvm' | 'tcg'): readonly string[] {
  return ['/dev/null', '/dev/zero', '/dev/urandom', ...(accelerator === 'kvm' ? ['/dev/kvm'] : [])];
}
