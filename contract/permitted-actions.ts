/**
 * Which action a machine permits in which phase, and why not. The server refuses by this table, and
 * CLI and console explain by it, so that both say the same. Plain values, no imports.
 */
export const machinePhases = ['defined', 'starting', 'running', 'paused', 'stopping', 'stopped', 'failed', 'unknown'] as const;
export type MachinePhase = (typeof machinePhases)[number];

export const machineActions = ['start', 'stop', 'restart', 'pause', 'resume', 'remove', 'exec', 'console'] as const;
export type MachineAction = (typeof machineActions)[number];

export const permittedIn = {
  start: ['defined', 'stopped', 'failed'],
  stop: ['starting', 'running', 'paused', 'unknown'],
  restart: ['running', 'paused', 'unknown'],
  pause: ['running'],
  resume: ['paused'],
  remove: ['defined', 'stopped', 'failed'],
  exec: ['running'],
  console: ['starting', 'running', 'paused', 'stopping', 'unknown'],
} as const satisfies Record<MachineAction, readonly MachinePhase[]>;

/** `reason` is empty where the action is permitted. */
export interface Permission { readonly permitted: boolean; readonly reason: string }

/** Whether a machine in that phase permits the action; the reason names the phases that do. */
export function permissionOf(action: MachineAction, phase: MachinePhase): Permission {
  const phases: readonly MachinePhase[] = permittedIn[action];
  if (phases.includes(phase)) return { permitted: true, reason: '' };
  return { permitted: false, reason: `${action} needs a machine that is ${phases.join(' or ')}; this one is ${phase}` };
}

/** The whole table for one phase, as the API shows it with each machine. */
export function permissionsIn(phase: MachinePhase): Record<MachineAction, Permission> {
  const all = {} as Record<MachineAction, Permission>;
  for (const action of machineActions) all[action] = permissionOf(action, phase);
  return all;
}
