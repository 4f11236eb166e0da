/** What each launch of QEMU is given beside its command line. */
import type { MachineLimits } from '../vmm/cgroups.ts';
import { translationCacheMiB } from './command-line.ts';

/** QEMU's own memory beside the guest's and the translation cache. */
const overheadMiB = 256;

export function machineLimits(memoryMiB: number): MachineLimits {
  return { memoryBytes: (memoryMiB + overheadMiB + translationCacheMiB) * 1024 * 1024, processes: 256 };
}

/** Devices in the jail. */
export function machineDevices(accelerator: 'kvm' | 'tcg'): readonly string[] {
  return ['/dev/null', '/dev/zero', '/dev/urandom', ...(accelerator === 'kvm' ? ['/dev/kvm'] : [])];
}
