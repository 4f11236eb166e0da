/**
 * Chooses the machine for each new replica, and the machines that must be made first. Pure.
 *
 * By default one machine carries an app's containers of one architecture and engine; another is made when
 * the promised memory no longer fits. `isolation: dedicated` gives each replica a machine of its own.
 */
import type { Architecture } from '#base';
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
}

export interface MachineWish {
  readonly name: string;
  readonly architecture: Architecture;
  readonly engine: AppEngine;
  readonly processors: number;
  readonly memoryMiB: number;
}

export interface Assignment {
  /** `<service>-<index>` → machine id, for replicas that fit an existing machine. */
  readonly placed: ReadonlyMap<string, string>;
  /** Machines to make; their replicas are placed in the next round. */
  readonly make: readonly MachineWish[];
}

export const replicaKey = (need: { readonly service: string; readonly index: number }): string => `${need.service}-${need.index}`;

export function assignMachines(app: string, needs: readonly ReplicaNeed[], machines: readonly AppMachine[], host: { readonly processors: number }): Assignment {
  const placed = new Map<string, string>();
  const left = new Map(machines.map((machine) => [machine.id, machine.memoryMiB - guestOverheadMiB - machine.promisedMiB]));
  const homeless: ReplicaNeed[] = [];
  for (const need of needs) {
    const home = machines.find((machine) => fits(machine, need, left.get(machine.id) ?? 0));
    if (home === undefined) homeless.push(need);
    else {
      placed.set(replicaKey(need), home.id);
      left.set(home.id, (left.get(home.id) ?? 0) - need.memoryMiB);
    }
  }
  return { placed, make: wishes(app, homeless, machines, host.processors) };
}

function fits(machine: AppMachine, need: ReplicaNeed, leftMiB: number): boolean {
  if (machine.architecture !== need.architecture || machine.engine !== need.engine) return false;
  if (need.dedicated !== (machine.dedicatedTo !== null)) return false;
  if (need.dedicated) return machine.dedicatedTo === replicaKey(need);
  return leftMiB >= need.memoryMiB;
}

/** Groups homeless replicas: one shared machine for each architecture and engine, one for each dedicated replica. */
function wishes(app: string, homeless: readonly ReplicaNeed[], machines: readonly AppMachine[], hostProcessors: number): MachineWish[] {
  const taken = new Set(machines.map((machine) => machine.name));
  const made: MachineWish[] = [];
  const shared = new Map<string, ReplicaNeed[]>();
  for (const need of homeless) {
    if (need.dedicated) made.push(wish(dedicatedMachineName(app, need), [need], hostProcessors));
    else {
      const key = `${need.architecture} ${need.engine}`;
      shared.set(key, [...(shared.get(key) ?? []), need]);
    }
  }
  for (const group of shared.values()) {
    const first = group[0] as ReplicaNeed;
    made.push(wish(freeName(sharedMachineName(app, first), taken), group, hostProcessors));
  }
  return made;
}

function wish(name: string, group: readonly ReplicaNeed[], hostProcessors: number): MachineWish {
  const first = group[0] as ReplicaNeed;
  const needed = guestOverheadMiB + group.reduce((sum, need) => sum + need.memoryMiB, 0);
  const floor = first.dedicated ? 256 : sharedMachineMiB;
  const cpus = Math.ceil(group.reduce((sum, need) => sum + need.cpus, 0));
  return {
    name, architecture: first.architecture, engine: first.engine,
    // UML has one processor, whatever is asked for.
    processors: first.engine === 'uml' ? 1 : Math.max(1, Math.min(hostProcessors, Math.max(cpus, group.length > 1 ? 2 : 1))),
    memoryMiB: Math.max(floor, roundUp(needed, 64)),
  };
}

/** Name of the machine that belongs to one replica alone. */
export function dedicatedMachineName(app: string, need: { readonly service: string; readonly index: number }): string {
  return `${app}-${replicaKey(need)}`.slice(0, 63);
}

function sharedMachineName(app: string, need: ReplicaNeed): string {
  const engine = need.engine === 'auto' || need.engine === 'qemu' ? '' : `-${need.engine}`;
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
