/**
 * Which action a machine permits in which phase, and why not. The server refuses by this table, and
 * CLI and console explain by it, so that both say the same. Plain values; what engines cannot do stands in engine-abilities.ts,
 * and what no machine can whose disks back ends serve, here.
 */
import { reasonAgainst } from './engine-abilities.ts';

export const machinePhases = ['defined', 'starting', 'running', 'paused', 'stopping', 'suspended', 'stopped', 'failed', 'unknown'] as const;
export type MachinePhase = (typeof machinePhases)[number];

export const machineActions = ['start', 'stop', 'restart', 'pause', 'suspend', 'resume', 'snapshot', 'restore', 'clone', 'fork', 'remove', 'exec', 'console'] as const;
export type MachineAction = (typeof machineActions)[number];

export const permittedIn = {
  start: ['defined', 'suspended', 'stopped', 'failed'],
  stop: ['starting', 'running', 'paused', 'unknown'],
  restart: ['running', 'paused', 'unknown'],
  pause: ['running'],
  suspend: ['running', 'paused'],
  resume: ['paused', 'suspended'],
  snapshot: ['defined', 'running', 'paused', 'stopped', 'failed'],
  restore: ['defined', 'running', 'paused', 'suspended', 'stopped', 'failed'],
  clone: ['defined', 'paused', 'stopped', 'failed'],
  fork: ['running', 'paused'],
  remove: ['defined', 'suspended', 'stopped', 'failed'],
  exec: ['running'],
  console: ['starting', 'running', 'paused', 'stopping', 'unknown'],
} as const satisfies Record<MachineAction, readonly MachinePhase[]>;

const notFrozen = 'which cannot be frozen with the others';
const notWithBackends: Readonly<Partial<Record<MachineAction, string>>> = {
  suspend: 'and what those have begun is not part of the machine\'s memory', snapshot: notFrozen, restore: notFrozen, clone: notFrozen, fork: notFrozen,
};

function reasonOfServed(action: MachineAction, served: readonly string[]): string | undefined {
  const why = notWithBackends[action];
  return served.length === 0 || why === undefined ? undefined : `it has disks that back ends serve (${served.join(', ')}), ${why}`;
}

/** `reason` is empty where the action is permitted. */
export interface Permission { readonly permitted: boolean; readonly reason: string }

/**
 * Whether a machine in that phase, on that engine (null: not chosen yet), permits the action; the reason names the phases that do.
 * @param served its disks that back ends serve
 */
export function permissionOf(action: MachineAction, phase: MachinePhase, engine: string | null = null, served: readonly string[] = []): Permission {
  const unable = (engine === null ? undefined : reasonAgainst(engine, action)) ?? reasonOfServed(action, served);
  if (unable !== undefined) return { permitted: false, reason: unable };
  const phases: readonly MachinePhase[] = permittedIn[action];
  if (phases.includes(phase)) return { permitted: true, reason: '' };
  return { permitted: false, reason: `${action} needs a machine that is ${phases.join(' or ')}; this one is ${phase}` };
}

/** The whole table for one machine, as the API shows it with each. */
export function permissionsIn(phase: MachinePhase, engine: string | null = null, served: readonly string[] = []): Record<MachineAction, Permission> {
  const all = {} as Record<MachineAction, Permission>;
  for (const action of machineActions) all[action] = permissionOf(action, phase, engine, served);
  return all;
}
