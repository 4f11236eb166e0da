/**
 * Chooses a host for a machine, or says of each host why not: pure. Processors are overcommitted four
 * times; memory never; disks are thin, so what is free now must hold the new one.
 */
import { StrataError, type Architecture } from '#base';
import type { Host } from './host.ts';

export interface PlacementRequest {
  /** For people. */
  readonly name?: string;
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
  /** What the host would give if it carried nothing. */
  readonly most?: number;
}

export type Placement =
  | { readonly placed: true; readonly hostId: string }
  | { readonly placed: false; readonly hosts: readonly { readonly id: string; readonly name: string; readonly machines: number; readonly shortages: readonly Shortage[] }[] };

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
  return place(hosts, request, shortagesOf);
}

function place(hosts: readonly Host[], request: PlacementRequest, judge: (host: Host, request: PlacementRequest) => Shortage[]): Placement {
  const refusals = hosts.map((host) => ({ id: host.id, name: host.name, machines: host.promised.machines, shortages: judge(host, request) }));
  const fitting = hosts.filter((_host, index) => refusals[index]?.shortages.length === 0);
  const share = (host: Host) => (freeOf(host).memoryMiB - request.memoryMiB) / host.memory.totalMiB;
  const [best] = fitting.toSorted((one, other) => share(other) - share(one) || (one.id < other.id ? -1 : 1));
  return best === undefined ? { placed: false, hosts: refusals } : { placed: true, hostId: best.id };
}

/**
 * Of machines that are to run side by side the first that would fit nowhere even if the hosts carried nothing else,
 * whatever they have proved and whatever state they are in now.
 */
export function firstTooLarge(hosts: readonly Host[], requests: readonly PlacementRequest[]): { readonly request: PlacementRequest; readonly placement: Extract<Placement, { placed: false }> } | undefined {
  let candidates = hosts.map(emptied);
  for (const request of requests) {
    const placement = place(candidates, request, shortOf);
    if (!placement.placed) return { request, placement };
    candidates = candidates.map((host) => (host.id === placement.hostId ? { ...host, promised: withRequest(host.promised, request) } : host));
  }
  return undefined;
}

function emptied(host: Host): Host {
  return { ...host, promised: { machines: 0, processors: 0, memoryMiB: 0, diskBytes: 0 }, disk: { ...host.disk, freeBytes: host.disk.totalBytes } };
}

/** What is promised once the machine is. */
export function withRequest(promised: Host['promised'], request: PlacementRequest): Host['promised'] {
  return { machines: promised.machines + 1, processors: promised.processors + request.processors, memoryMiB: promised.memoryMiB + request.memoryMiB, diskBytes: promised.diskBytes + request.diskBytes };
}

function shortagesOf(host: Host, request: PlacementRequest): Shortage[] {
  const shortages: Shortage[] = [];
  if (host.state !== 'ready') shortages.push({ what: 'state', needed: 'ready', free: host.state });
  const proved = host.proofs.filter((proof) => proof.works && proof.architecture === request.architecture);
  if (!proved.some((proof) => request.engine === 'auto' || proof.engine === request.engine)) {
    const runs = [...new Set(host.proofs.filter((proof) => proof.works).map((proof) => `${proof.engine} ${proof.architecture}`))].join(', ');
    shortages.push({ what: 'engine', needed: `${request.engine === 'auto' ? 'an engine' : `engine ${request.engine}`} for ${request.architecture}`, free: runs === '' ? 'none' : runs });
  }
  return [...shortages, ...shortOf(host, request)];
}

function shortOf(host: Host, request: PlacementRequest): Shortage[] {
  const free = freeOf(host);
  const most = freeOf(emptied(host));
  return (['processors', 'memoryMiB', 'diskBytes'] as const).filter((what) => request[what] > free[what]).map((what) => ({ what, needed: request[what], free: free[what], most: most[what] }));
}

/** The refusal as an error: each host, what was needed, what is free, and what others hold. */
export function placementError(placement: Extract<Placement, { placed: false }>, request: PlacementRequest): StrataError {
  const engineFits = placement.hosts.some((host) => host.shortages.every((one) => one.what !== 'engine'));
  return new StrataError(placement.hosts.length === 0 ? 'the pool has no host' : `${subjectOf(request)} fits no host now (${describeHosts(placement)})`, {
    code: 'pool.hostFull', kind: 'exhausted', advice: onlyDiskShort(placement) ? 'free space on the disk of `strata host inspect`, lower its disks, or add a host' : engineFits ? 'stop other machines (`strata machine ls`), lower its processors, memory or disk, or add a host' : 'see `strata doctor` for what this host can run',
    details: { request, hosts: placement.hosts },
  });
}

/** The same where stopping others would not help: what is asked for is wrong. */
export class TooLargeError extends StrataError {
  readonly architecture: Architecture;
  /** Of what the first host has too little. */
  readonly short: Shortage['what'] | undefined;

  constructor(placement: Extract<Placement, { placed: false }>, request: PlacementRequest) {
    super(`${subjectOf(request)} fits no host, even if nothing else ran (${describeHosts(placement)})`, {
      code: 'pool.tooLarge', kind: 'invalid', advice: onlyDiskShort(placement) ? 'lower its disks, or give Strata\'s state folder a larger one (`strata host inspect` names it)' : 'lower the memory, processors or replicas asked for, or add a larger host', details: { request, hosts: placement.hosts },
    });
    this.architecture = request.architecture;
    this.short = placement.hosts[0]?.shortages[0]?.what;
  }
}

/** Then neither memory nor other machines are to blame. */
const onlyDiskShort = (placement: Extract<Placement, { placed: false }>): boolean => placement.hosts.length > 0 && placement.hosts.every((host) => host.shortages.every((one) => one.what === 'diskBytes'));

const subjectOf = (request: PlacementRequest): string => (request.name === undefined ? 'the machine' : `machine ${request.name}`);

function describeHosts(placement: Extract<Placement, { placed: false }>): string {
  return placement.hosts.map((host) => `${host.name}: ${host.shortages.map(describeShortage).join(', ')}${othersHold(host) ? `, the rest is promised to ${host.machines} machine${host.machines === 1 ? '' : 's'}` : ''}`).join('; ');
}

function othersHold(host: Extract<Placement, { placed: false }>['hosts'][number]): boolean {
  return host.machines > 0 && host.shortages.some(({ what, free, most }) => (what === 'memoryMiB' || what === 'processors') && most !== undefined && most > Number(free));
}

function describeShortage({ what, needed, free, most }: Shortage): string {
  switch (what) {
    case 'processors': return `needs ${needed} processors, ${free} of ${most} free`;
    case 'memoryMiB': return `needs ${needed} MiB of memory, ${free} of ${most} MiB free`;
    case 'diskBytes': return `needs ${gibibytes(needed)} of disk, ${gibibytes(free)} free`;
    case 'state': return `is ${free}`;
    case 'engine': return `needs ${needed}, ${free === 'none' ? 'and no guest ran on it' : `guests ran on ${free}`}`;
  }
}

function gibibytes(bytes: number | string): string {
  return `${(Math.round((Number(bytes) / 1024 ** 3) * 10) / 10).toFixed(1)} GiB`;
}
