/** A container's limits in the words of cgroup v2. Pure. */
import type { GuestContainerSpec } from '../protocol/messages.ts';

/** What the kernel's files say for these limits (admin-guide/cgroup-v2.rst). Pure. */
export function cgroupValues({ cpus, memoryBytes, pids }: GuestContainerSpec['limits']): readonly (readonly [file: string, value: string])[] {
  return [
    ...(cpus === undefined ? [] : [['cpu.max', `${Math.max(1000, Math.round(cpus * 100_000))} 100000`] as const]),
    ...(memoryBytes === undefined ? [] : [['memory.max', String(memoryBytes)] as const, ['memory.swap.max', '0'] as const]),
    ...(pids === undefined ? [] : [['pids.max', String(pids)] as const]),
  ];
}
