/**
 * Chooses a host for a machine, or says of each host why not: pure. Processors are overcommitted four
 * times; memory never; disks are thin, so what is free now must hold the new one.
 */
import { StrataError, type Architecture } from '#base';
import type { Host } from './host.ts';

export interface PlacementRequest {
  readonly architecture: Architecture;
  readonly processors: number;
  readonly memoryMiB: number;
  readonly diskBytes: number;
  /** `auto`: any engine proved for the architecture. */
  readonly engine: string;
}

export interface Shortage {
  readonly what: 'processors' | 'memoryMiB' | 'diskBytes' | 'state' | 'engine';
  readonly needed: number | string;
  readonly free: number | string;
}

export type Placement =
  | { readonly placed: true; readonly hostId: string }
  | { readonly placed: false; readonly hosts: readonly { readonly id: string; readonly name: string; readonly shortages: readonly Shortage[] }[] };

export const processorOvercommit = 4;

export interface FreeOfHost { readonly processors: number; readonly memoryMiB: number; readonly diskBytes: number }

/** What may still be promised; never below zero. */
export function freeOf(host: Host): FreeOfHost {
  return {
    processors: Math.max(0, host.processors.count * processorOvercommit - host.promised.processors),
    memoryMiB: Math.max(0, host.memory.totalMiB - reservedMemoryMiB(host) - host.promised.memoryMiB),
    diskBytes: Math.max(0, host.disk.freeBytes - reservedDiskBytes(host)),
  };
}

/** For the host itself: 1 GiB, on small hosts a tenth. */
export function reservedMemoryMiB(host: Host): number {
  return Math.min(1024, Math.ceil(host.memory.totalMiB / 10));
}

/** For logs and the store: 1 GiB, on small disks a tenth. */
export function reservedDiskBytes(host: Host): number {
  return Math.min(1024 ** 3, Math.ceil(host.disk.totalBytes / 10));
}

/** The host where the largest share of memory stays free; by id where equal. */
export function placeMachine(hosts: readonly Host[], request: PlacementRequest): Placement {
  const refusals = hosts.map((host) => ({ id: host.id, name: host.name, shortages: shortagesOf(host, request) }));
  const fitting = hosts.filter((_host, index) => refusals[index]?.shortages.length === 0);
  const share = (host: Host) => (freeOf(host).memoryMiB - request.memoryMiB) / host.memory.totalMiB;
  const [best] = fitting.toSorted((one, other) => share(other) - share(one) || (one.id < other.id ? -1 : 1));
  return best === undefined ? { placed: false, hosts: refusals } : { placed: true, hostId: best.id };
}

function shortagesOf(host: Host, request: PlacementRequest): Shortage[] {
  const free = freeOf(host);
  const shortages: Shortage[] = [];
  if (host.state !== 'ready') shortages.push({ what: 'state', needed: 'ready', free: host.state });
  const proved = host.proofs.filter((proof) => proof.works && proof.architecture === request.architecture);
  if (!proved.some((proof) => request.engine === 'auto' || proof.engine === request.engine)) {
    const runs = [...new Set(host.proofs.filter((proof) => proof.works).map((proof) => `${proof.engine} ${proof.architecture}`))].join(', ');
    shortages.push({ what: 'engine', needed: `${request.engine === 'auto' ? 'an engine' : `engine ${request.engine}`} for ${request.architecture}`, free: runs === '' ? 'none' : runs });
  }
  for (const what of ['processors', 'memoryMiB', 'diskBytes'] as const) {
    if (request[what] > free[what]) shortages.push({ what, needed: request[what], free: free[what] });
  }
  return shortages;
}

/** The refusal as an error: each host, what was needed, what is free. */
export function placementError(placement: Extract<Placement, { placed: false }>, request: PlacementRequest): StrataError {
  const parts = placement.hosts.map((host) => `${host.name}: ${host.shortages.map(describeShortage).join(', ')}`);
  const fits = placement.hosts.some((host) => host.shortages.every((one) => one.what !== 'engine'));
  return new StrataError(parts.length === 0 ? 'the pool has no host' : `the machine fits no host (${parts.join('; ')})`, {
    code: 'pool.hostFull', kind: 'exhausted', advice: fits ? 'lower its processors, memory or disk, stop other machines, or add a host' : 'see `strata doctor` for what this host can run',
    details: { request, hosts: placement.hosts },
  });
}

function describeShortage({ what, needed, free }: Shortage): string {
  switch (what) {
    case 'processors': return `needs ${needed} processors, ${free} free`;
    case 'memoryMiB': return `needs ${needed} MiB of memory, ${free} MiB free`;
    case 'diskBytes': return `needs ${gibibytes(needed)} of disk, ${gibibytes(free)} free`;
    case 'state': return `is ${free}`;
    case 'engine': return `needs ${needed}, ${free === 'none' ? 'and no guest ran on it' : `guests ran on ${free}`}`;
  }
}

function gibibytes(bytes: number | string): string {
  return `${(Math.round((Number(bytes) / 1024 ** 3) * 10) / 10).toFixed(1)} GiB`;
}
