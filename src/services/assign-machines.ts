/**
 * Chooses the machine for each new replica, and the machines that must be made first. Pure.
 *
 * By default one machine carries an app's containers of one architecture and engine; another is made when
 * the promised memory no longer fits, or the engine takes no more disks: each image is one, and each volume.
 * `isolation: dedicated` gives each replica a machine of its own.
 */
import type { Architecture } from '#base';
import type { MachineSpec } from '#machines';
import type { AppEngine } from './app.ts';

/** What the guest OS and the agent need for themselves, MiB. */
export const guestOverheadMiB = 192;
/** Promised to a container that states no memory of its own, MiB. */
export const defaultContainerMiB = 128;
/** A shared machine is never smaller, so that a few services can be added without another boot. */
export const sharedMachineMiB = 1024;

export interface ReplicaNeed {
  readonly service: string;
  readonly index: number;
  readonly architecture: Architecture;
  readonly engine: AppEngine;
  readonly dedicated: boolean;
  readonly memoryMiB: number;
  readonly cpus: number;
  /** What the machine that is made for it goes on from. */
  readonly from?: MachineSpec['from'];
  /** Names of the disks it is run from: its image's, which others may share, and its volumes'. */
  readonly disks: readonly string[];
}

export interface AppMachine {
  readonly id: string;
  readonly name: string;
  readonly architecture: Architecture;
  readonly engine: string;
  readonly memoryMiB: number;
  /** Set where the machine belongs to one replica alone: '<service>-<index>'. */
  readonly dedicatedTo: string | null;
  /** Memory promised to containers that are there, MiB. */
  readonly promisedMiB: number;
  /** Names of the disks of containers that are there. */
  readonly disks: readonly string[];
}

/** What an app's plan knows of the host. */
export interface AppHost {
  readonly processors: number;
  /** Disks that one machine takes beside its own. */
  readonly maxDisks: Readonly<Record<RunEngine, number>>;
}

/** What runs it in the end: `auto` is QEMU where nothing speaks for UML. */
export type RunEngine = 'qemu' | 'uml';
export const runEngine = (engine: string): RunEngine => (engine === 'uml' ? 'uml' : 'qemu');

export interface MachineWish {
  readonly name: string;
  readonly architecture: Architecture;
  readonly engine: AppEngine;
  readonly processors: number;
  readonly memoryMiB: number;
  readonly from?: MachineSpec['from'];
}

export interface Assignment {
  /** `<service>-<index>` → machine id, for replicas that fit an existing machine. */
  readonly placed: ReadonlyMap<string, string>;
  /** Machines to make; their replicas are placed in the next round. */
  readonly make: readonly MachineWish[];
}

export const replicaKey = (need: { readonly service: string; readonly index: number }): string => `${need.service}-${need.index}`;

/** What is left of a machine while replicas are put into it. */
interface Room { leftMiB: number; readonly disks: Set<string> }

export function assignMachines(app: string, needs: readonly ReplicaNeed[], machines: readonly AppMachine[], host: AppHost): Assignment {
  const placed = new Map<string, string>();
  const rooms = new Map(machines.map((machine): [string, Room] => [machine.id, { leftMiB: machine.memoryMiB - guestOverheadMiB - machine.promisedMiB, disks: new Set(machine.disks) }]));
  const homeless: ReplicaNeed[] = [];
  for (const need of needs) {
    const home = machines.find((machine) => fits(machine, need, rooms.get(machine.id) as Room, host));
    if (home === undefined) homeless.push(need);
    else {
      placed.set(replicaKey(need), home.id);
      take(rooms.get(home.id) as Room, need);
    }
  }
  return { placed, make: wishes(app, homeless, machines, host) };
}

function fits(machine: AppMachine, need: ReplicaNeed, room: Room, host: AppHost): boolean {
  if (machine.architecture !== need.architecture || runEngine(machine.engine) !== runEngine(need.engine)) return false;
  if (need.dedicated !== (machine.dedicatedTo !== null)) return false;
  if (!hasDisksFor(room, need, host)) return false;
  if (need.dedicated) return machine.dedicatedTo === replicaKey(need);
  return room.leftMiB >= need.memoryMiB;
}

function hasDisksFor(room: Room, need: ReplicaNeed, host: AppHost): boolean {
  return new Set([...room.disks, ...need.disks]).size <= host.maxDisks[runEngine(need.engine)];
}

function take(room: Room, need: ReplicaNeed): void {
  room.leftMiB -= need.memoryMiB;
  for (const disk of need.disks) room.disks.add(disk);
}

/** Groups homeless replicas: shared machines for each architecture and engine, one for each dedicated replica. */
function wishes(app: string, homeless: readonly ReplicaNeed[], machines: readonly AppMachine[], host: AppHost): MachineWish[] {
  const taken = new Set(machines.map((machine) => machine.name));
  const made: MachineWish[] = [];
  const shared: { readonly kind: string; readonly needs: ReplicaNeed[]; readonly room: Room }[] = [];
  // One that no machine could take is refused before an app is written (choose-service-engine.ts); a machine for it would stay empty.
  for (const need of homeless.filter((one) => hasDisksFor({ leftMiB: 0, disks: new Set() }, one, host))) {
    if (need.dedicated) { made.push(wish(dedicatedMachineName(app, need), [need], host)); continue; }
    const kind = `${need.architecture} ${runEngine(need.engine)}`;
    const open = shared.find((one) => one.kind === kind && hasDisksFor(one.room, need, host));
    const group = open ?? { kind, needs: [], room: { leftMiB: 0, disks: new Set<string>() } };
    if (open === undefined) shared.push(group);
    group.needs.push(need);
    take(group.room, need);
  }
  for (const { needs: [first, ...others] } of shared) {
    if (first === undefined) continue;
    const name = freeName(sharedMachineName(app, first), taken);
    taken.add(name);
    made.push(wish(name, [first, ...others], host));
  }
  return made;
}

function wish(name: string, group: readonly [ReplicaNeed, ...ReplicaNeed[]], host: AppHost): MachineWish {
  const [first] = group;
  const needed = guestOverheadMiB + group.reduce((sum, need) => sum + need.memoryMiB, 0);
  const floor = first.dedicated ? 256 : sharedMachineMiB;
  const cpus = Math.ceil(group.reduce((sum, need) => sum + need.cpus, 0));
  return {
    name, architecture: first.architecture,
    engine: group.find((need) => need.engine !== 'auto')?.engine ?? 'auto',
    // UML has one processor, whatever is asked for.
    processors: first.engine === 'uml' ? 1 : Math.max(1, Math.min(host.processors, Math.max(cpus, group.length > 1 ? 2 : 1))),
    memoryMiB: Math.max(floor, roundUp(needed, 64)),
    ...(first.from === undefined ? {} : { from: first.from }),
  };
}

/** Name of the machine that belongs to one replica alone; one of another kind for the same replica can stand beside it. */
export function dedicatedMachineName(app: string, { architecture, engine, ...replica }: Pick<ReplicaNeed, 'service' | 'index' | 'architecture'> & { readonly engine: string }): string {
  const kind = `${architecture === 'x86_64' ? '' : `-${architecture}`}${runEngine(engine) === 'uml' ? '-uml' : ''}`;
  return `${app}-${replicaKey(replica)}`.slice(0, 63 - kind.length) + kind;
}

/**
 * Of which replica alone this machine is; null for a shared one. One that was a replica's own and is not any more is nobody's:
 * it was made in that replica's size, and goes when it is empty.
 */
export function dedicatedTo(app: string, machine: Pick<AppMachine, 'name' | 'architecture' | 'engine'>, replicas: readonly { readonly service: string; readonly index: number }[]): string | null {
  const its = replicas.find(({ service, index }) => machine.name === dedicatedMachineName(app, { service, index, architecture: machine.architecture, engine: machine.engine }));
  if (its !== undefined) return replicaKey(its);
  const shared = sharedMachineName(app, machine);
  const rest = machine.name.startsWith(shared) ? machine.name.slice(shared.length) : nobody;
  return machine.name === shared || /^-\d+$/.test(rest) ? null : nobody;
}

/** No replica's key. */
const nobody = '';

function sharedMachineName(app: string, need: Pick<ReplicaNeed, 'architecture'> & { readonly engine: string }): string {
  const engine = runEngine(need.engine) === 'uml' ? '-uml' : '';
  return `${app.slice(0, 40)}.${need.architecture}${engine}`.replaceAll(/[._]/g, '-');
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? name : `${name}-${number}`;
    if (!taken.has(candidate)) return candidate;
  }
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
