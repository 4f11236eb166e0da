/**
 * Decides what one container needs next: pure, from wish, machine, and what the guest says.
 *
 *   no record, nothing in the guest ─► forget
 *   no record, something there      ─► remove (guest) ─► release disks ─► forget
 *   wished running, machine not up  ─► wait (the reason is data)
 *   wished running, absent/changed  ─► attach disks ─► start; not while another writes to a volume of it
 *   the same, to be a clone         ─► go on from what came with the machine's memory; where that is not there, start
 *   wished stopped, runs            ─► stop
 *
 * The guest's agent restarts a container by itself, so an exit alone is never a reason to act here; one that was stopped
 * by wish is started again by wish.
 */
import type { GuestContainerState } from '#guest-protocol';
import type { ContainerSpec, ContainerStatus } from './container.ts';

export interface ContainerObserved {
  /** The machine the container belongs to, as last seen. */
  readonly machine: { readonly phase: string; readonly why: string; readonly guestBootId: string | null; readonly startedWhy?: string } | undefined;
  /** The agent's word: a state, 'absent', or 'unreachable'. */
  readonly guest: GuestContainerState | 'absent' | 'unreachable';
  /** What came into the guest with the memory of another, and is nobody's here. */
  readonly strays?: readonly string[];
  /** Other containers that write, or may still write, to a volume that this one writes to; the name is undefined where the wish is gone. */
  readonly writersBeside?: readonly { readonly id: string; readonly name: string | undefined }[];
}

export type ContainerOperation =
  | { readonly kind: 'container.start'; readonly subject: string; readonly summary: string; readonly insteadOfClone?: string }
  | { readonly kind: 'container.goOn'; readonly subject: string; readonly summary: string }
  | { readonly kind: 'container.removeStray'; readonly subject: string; readonly summary: string; readonly stray: string }
  | { readonly kind: 'container.stop'; readonly subject: string; readonly summary: string }
  | { readonly kind: 'container.remove'; readonly subject: string; readonly summary: string }
  | { readonly kind: 'container.releaseDisks'; readonly subject: string; readonly summary: string }
  | { readonly kind: 'container.forget'; readonly subject: string; readonly summary: string };

export interface ContainerPlan {
  readonly operations: readonly ContainerOperation[];
  readonly waitingOn: readonly { readonly kind: string; readonly subject: string; readonly why: string }[];
}

const nothing: ContainerPlan = { operations: [], waitingOn: [] };

/** @param spec undefined where the record was deleted and only its status is left. */
export function planContainer(id: string, spec: ContainerSpec | undefined, status: ContainerStatus | undefined, observed: ContainerObserved): ContainerPlan {
  if (spec === undefined) return planRemoval(id, status, observed);
  const machineUp = observed.machine?.phase === 'running';
  if (!machineUp || observed.guest === 'unreachable') {
    if (spec.wanted === 'stopped' && !machineUp) return nothing;
    return { operations: [], waitingOn: [{ kind: 'machine', subject: spec.machineId, why: machineUp ? silentAgent : machineWhy(observed.machine) }] };
  }
  const runs = observed.guest !== 'absent' && ['running', 'waiting', 'stopping'].includes(observed.guest.phase);
  if (spec.wanted === 'stopped') return runs ? one('container.stop', id, `stop container ${spec.name}`) : nothing;
  if (!needsStart(spec, status, observed.guest)) return nothing;
  const [writer] = observed.writersBeside ?? [];
  if (writer !== undefined) return { operations: [], waitingOn: [{ kind: 'container', subject: `container/${writer.id}`, why: `a volume of it is still written by ${writer.name ?? `container ${writer.id}, which is being removed`}` }] };
  return { operations: planStart(spec, observed), waitingOn: [] };
}

function planStart(spec: ContainerSpec, { guest, strays = [], machine }: ContainerObserved): ContainerOperation[] {
  const { id, name, origin } = spec;
  if (guest === 'absent' && origin?.way === 'clone' && strays.includes(origin.from)) return [operation('container.goOn', id, `let container ${name} go on as a clone of ${origin.from}`)];
  const why = guest === 'absent' && origin?.way === 'clone' ? { insteadOfClone: machine?.startedWhy || 'its machine booted, instead of going on from a template' } : {};
  return [...removeStrays(id, strays), { ...operation('container.start', id, `start container ${name}`), ...why }];
}

const removeStrays = (id: string, strays: readonly string[]): ContainerOperation[] => strays.map((stray) => ({ ...operation('container.removeStray', id, `remove container ${stray}, which came with the memory of another machine`), stray }));

const silentAgent = 'the agent of its machine does not answer';

/** Read by people as what the container waits for. */
function machineWhy(machine: ContainerObserved['machine']): string {
  if (machine === undefined) return 'its machine does not exist';
  if (machine.why !== '') return `its machine: ${machine.why}`;
  return ['defined', 'starting'].includes(machine.phase) ? 'its machine starts' : `its machine is ${machine.phase}`;
}

function needsStart(spec: ContainerSpec, status: ContainerStatus | undefined, guest: GuestContainerState | 'absent' | 'unreachable'): boolean {
  if (guest === 'unreachable') return false;
  if (guest !== 'absent') {
    if (guest.digest !== spec.guest.digest) return true;
    if (guest.phase === 'exited' && status?.stopped === true) return true;
    return guest.phase === 'created' || (guest.phase === 'exited' && guest.exitCode === 125 && spec.guest.restart.policy !== 'no' && guest.error !== '');
  }
  return !isFinished(spec, status);
}

/** A job that ended as it should is not run again by a reboot of its machine. */
function isFinished(spec: ContainerSpec, status: ContainerStatus | undefined): boolean {
  if (status === undefined || status.phase !== 'exited' || status.stopped || status.digest !== spec.guest.digest) return false;
  const policy = spec.guest.restart.policy;
  return policy === 'no' || (policy === 'on-failure' && status.exitCode === 0);
}

function planRemoval(id: string, status: ContainerStatus | undefined, observed: ContainerObserved): ContainerPlan {
  if (status === undefined) return nothing;
  const operations: ContainerOperation[] = [];
  if (observed.machine?.phase === 'running') {
    if (observed.guest === 'unreachable') return { operations: [], waitingOn: [{ kind: 'machine', subject: status.machineId, why: silentAgent }] };
    operations.push(...removeStrays(id, observed.strays ?? []), operation('container.remove', id, `remove container ${id}`));
    operations.push(operation('container.releaseDisks', id, `unplug disks that only ${id} used`));
  } else if (observed.machine !== undefined && !['stopped', 'failed', 'defined'].includes(observed.machine.phase)) {
    return { operations: [], waitingOn: [{ kind: 'machine', subject: status.machineId, why: machineWhy(observed.machine) }] };
  }
  operations.push(operation('container.forget', id, `forget container ${id}`));
  return { operations, waitingOn: [] };
}

function operation<K extends ContainerOperation['kind']>(kind: K, id: string, summary: string): { readonly kind: K; readonly subject: string; readonly summary: string } {
  return { kind, subject: `container/${id}`, summary };
}

function one(kind: Exclude<ContainerOperation['kind'], 'container.removeStray'>, id: string, summary: string): ContainerPlan {
  return { operations: [operation(kind, id, summary)], waitingOn: [] };
}
