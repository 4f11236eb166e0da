/** What no plan may ever do, checked before anything is done: pure. A plan that breaks one of these is a bug of ours. */
import { StrataError } from '#base';
import type { MachinePlan, MachineSeen } from './plan-machine.ts';

/** @throws StrataError `machine.badPlan` */
export function checkMachinePlan(plan: MachinePlan, seen: MachineSeen): void {
  const kinds = plan.operations.map((operation) => operation.kind);
  const refuse = (why: string): never => { throw new StrataError(`a plan would ${why}: ${kinds.join(', ')}`, { code: 'machine.badPlan', kind: 'internal', advice: 'please report it; nothing was done' }); };
  const absent = seen.vmm.state === 'none';
  if (kinds.includes('machine.start') && !absent) refuse('start a machine whose end is not proved');
  if (kinds.filter((kind) => kind === 'machine.start').length > 1) refuse('start a machine twice');
  if (kinds.includes('machine.start') && seen.spec?.wanted !== 'running') refuse('start what nobody wishes to run');
  if ((kinds.includes('machine.erase') || kinds.includes('machine.forget')) && !absent) refuse('erase a machine that may run');
  if ((kinds.includes('machine.erase') || kinds.includes('machine.forget')) && seen.spec !== undefined) refuse('erase a machine that is wished');
  if (kinds.includes('machine.forget') && kinds.at(-1) !== 'machine.forget') refuse('act on what it forgot');
  if (kinds.includes('machine.forget') && seen.run !== undefined && !kinds.includes('machine.erase')) refuse('forget what was not erased');
}
