/** What the kernel counts for a container's cgroup (cgroup v2). */
import { cgroupPath as folder, processesOf } from './container-cgroup.ts';
import { readText } from './files.ts';

export interface ContainerStats { readonly cpuNanos: number; readonly userNanos: number; readonly systemNanos: number; readonly calls?: number; readonly memoryBytes: number; readonly memoryPeakBytes: number; readonly pids: number; readonly oomKills: number }

export function oomKills(id: string): number {
  return keyed(`${folder(id)}/memory.events`, /^oom_kill (\d+)/m);
}

export function containerStats(id: string): ContainerStats {
  const number = (name: string): number => Number((readText(`${folder(id)}/${name}`) ?? '0').trim()) || 0;
  const memoryBytes = number('memory.current');
  const times = `${folder(id)}/cpu.stat`;
  return {
    cpuNanos: keyed(times, /^usage_usec (\d+)/m) * 1000, userNanos: keyed(times, /^user_usec (\d+)/m) * 1000, systemNanos: keyed(times, /^system_usec (\d+)/m) * 1000,
    ...countCalls(id),
    memoryBytes,
    memoryPeakBytes: Math.max(memoryBytes, number('memory.peak')), // kernels before 5.19 do not keep it
    pids: number('pids.current'), oomKills: oomKills(id),
  };
}

/** Reads and writes, the greater part of what servers ask of a kernel; no cgroup counts all calls. A process that ended is counted with the one that waited for it. */
function countCalls(id: string): { readonly calls?: number } {
  const pids = processesOf(id);
  const texts = pids.map((pid) => readText(`/proc/${pid}/io`)).filter((text) => text !== undefined && text !== '');
  if (texts.length === 0) return {};
  return { calls: texts.reduce((sum, text) => sum + [...(text ?? '').matchAll(/^sysc[rw]: (\d+)/gm)].reduce((own, match) => own + Number(match[1]), 0), 0) };
}

function keyed(path: string, pattern: RegExp): number {
  return Number(pattern.exec(readText(path) ?? '')?.[1] ?? 0);
}
