/** What the kernel counts for a container's cgroup (cgroup v2). */
import { cgroupPath as folder } from './container-cgroup.ts';
import { readText } from './files.ts';

export interface ContainerStats { readonly cpuNanos: number; readonly memoryBytes: number; readonly memoryPeakBytes: number; readonly pids: number; readonly oomKills: number }

export function oomKills(id: string): number {
  return keyed(`${folder(id)}/memory.events`, /^oom_kill (\d+)/m);
}

export function containerStats(id: string): ContainerStats {
  const number = (name: string): number => Number((readText(`${folder(id)}/${name}`) ?? '0').trim()) || 0;
  const memoryBytes = number('memory.current');
  return {
    cpuNanos: keyed(`${folder(id)}/cpu.stat`, /^usage_usec (\d+)/m) * 1000,
    memoryBytes,
    memoryPeakBytes: Math.max(memoryBytes, number('memory.peak')), // kernels before 5.19 do not keep it
    pids: number('pids.current'), oomKills: oomKills(id),
  };
}

function keyed(path: string, pattern: RegExp): number {
  return Number(pattern.exec(readText(path) ?? '')?.[1] ?? 0);
}
