/** The host's memory as the pool's planner wants it: what is available, how hard it is pressed, what a process holds of its own. */
import { readFile } from 'node:fs/promises';

export interface HostMemory { readonly availableBytes: number; readonly totalBytes: number; readonly stalledPercent: number }

export async function readHostMemory(): Promise<HostMemory> {
  const [meminfo, pressure] = await Promise.all([readFile('/proc/meminfo', 'utf8'), readFile('/proc/pressure/memory', 'utf8').catch(() => '')]); // not every kernel measures it
  return { ...parseMeminfo(meminfo), stalledPercent: parsePressure(pressure) };
}

/** Pure. */
export function parseMeminfo(text: string): Pick<HostMemory, 'availableBytes' | 'totalBytes'> {
  return { availableBytes: kilobytes(text, 'MemAvailable') * 1024, totalBytes: kilobytes(text, 'MemTotal') * 1024 };
}

/** avg10 of `some`; 0 where there is none. Pure. */
export const parsePressure = (text: string): number => Number(/^some avg10=([\d.]+)/m.exec(text)?.[1] ?? 0);

/** What the host has back when the process ends: pages that it alone has and has written. */
export async function privateBytes(pid: number): Promise<number> {
  return kilobytes(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'), 'Private_Dirty') * 1024;
}

/** Of that what is in no file, not even one that lies in memory; 0 of a process that has ended. */
export async function anonymousBytes(pid: number): Promise<number> {
  return kilobytes(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => ''), 'Anonymous') * 1024;
}

const kilobytes = (text: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
