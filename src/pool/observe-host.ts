/** Looks at this host: /proc, statfs; nothing is started and nothing is changed. */
import { hostname, release } from 'node:os';
import { readFile, statfs } from 'node:fs/promises';
import { hostArchitecture, hostBootId, type Clock } from '#base';
import type { Host, Promised, Proof } from './host.ts';

export interface ObserveHostInput {
  readonly id: string;
  readonly state: Host['state'];
  /** Folder whose file system carries disks; must exist. */
  readonly stateDir: string;
  readonly proofs: readonly Proof[];
  readonly promised: Promised;
  readonly clock: Clock;
}

export type LookAtHost = (input: ObserveHostInput) => Promise<Host>;

export async function observeHost(input: ObserveHostInput): Promise<Host> {
  const [cpuinfo, meminfo, load, stat, disk] = await Promise.all([
    readFile('/proc/cpuinfo', 'utf8'), readFile('/proc/meminfo', 'utf8'), readFile('/proc/loadavg', 'utf8'), readFile('/proc/stat', 'utf8'), statfs(input.stateDir),
  ]);
  return {
    id: input.id, name: hostname(), architecture: hostArchitecture, state: input.state,
    kernel: release(), bootId: hostBootId(), bootedAt: Number(/^btime (\d+)$/m.exec(stat)?.[1] ?? 0) * 1000,
    processors: { ...parseProcessors(cpuinfo), load1: Number(load.split(' ')[0]) },
    memory: parseMemory(meminfo),
    disk: { path: input.stateDir, totalBytes: disk.blocks * disk.bsize, freeBytes: disk.bavail * disk.bsize },
    proofs: [...input.proofs], promised: input.promised, observedAt: input.clock.now(),
  };
}

/** /proc/cpuinfo; Arm names no model, so its part number stands in. */
export function parseProcessors(cpuinfo: string): { model: string; count: number } {
  const model = /^model name\s*:\s*(.+)$/m.exec(cpuinfo)?.[1] ?? /^CPU part\s*:\s*(.+)$/m.exec(cpuinfo)?.[1] ?? 'unknown';
  return { model: model.trim(), count: Math.max(1, cpuinfo.match(/^processor\s*:/gm)?.length ?? 1) };
}

/** /proc/meminfo, in MiB rounded down. */
export function parseMemory(meminfo: string): { totalMiB: number; availableMiB: number } {
  const field = (name: string) => Math.floor(Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0) / 1024);
  return { totalMiB: field('MemTotal'), availableMiB: field('MemAvailable') };
}
