/** What no plan may ever do, checked before anything is done: pure. A plan that breaks one of these is a bug of ours. */
import { StrataError } from '#base';
import type { MachineOperationKind, MachinePlan, MachineSeen } from './plan-machine.ts';

/** @throws StrataError `machine.badPlan` */
export function checkMachinePlan(plan: MachinePlan, seen: MachineSeen): void {
  const kinds = plan.operations.map((operation) => operation.kind);
  const why = whyBad(kinds, seen) ?? whyBadForRunning(kinds, seen);
  if (why !== undefined) throw new StrataError(`a plan would ${why}: ${kinds.join(', ')}`, { code: 'machine.badPlan', kind: 'internal', advice: 'please report it; nothing was done' });
}

function whyBad(kinds: readonly MachineOperationKind[], seen: MachineSeen): string | undefined {
  const absent = seen.vmm.state === 'none';
  if (kinds.includes('machine.start') && !absent) return 'start a machine whose end is not proved';
  if (kinds.filter((kind) => kind === 'machine.start').length > 1) return 'start a machine twice';
  if (kinds.includes('machine.start') && seen.spec?.wanted !== 'running') return 'start what nobody wishes to run';
  if ((kinds.includes('machine.erase') || kinds.includes('machine.forget')) && !absent) return 'erase a machine that may run';
  if ((kinds.includes('machine.erase') || kinds.includes('machine.forget')) && seen.spec !== undefined) return 'erase a machine that is wished';
  if (kinds.includes('machine.forget') && kinds.at(-1) !== 'machine.forget') return 'act on what it forgot';
  if (kinds.includes('machine.forget') && !kinds.includes('machine.erase')) return 'forget what was not erased';
  return undefined;
}

function whyBadForRunning(kinds: readonly MachineOperationKind[], seen: MachineSeen): string | undefined {
  if ((kinds.includes('machine.pause') || kinds.includes('machine.resume')) && seen.vmm.state !== 'running') return 'pause or resume what does not run';
  if (kinds.includes('machine.suspend') && (seen.vmm.state !== 'running' || seen.spec?.wanted !== 'suspended')) return 'suspend what does not run, or what nobody wishes suspended';
  if (kinds.includes('machine.pause') && seen.spec?.wanted !== 'paused') return 'pause what nobody wishes paused';
  return undefined;
}
