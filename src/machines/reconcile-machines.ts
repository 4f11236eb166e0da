/** The controller of machines: one key is one machine. Observe, plan, check, perform, say how it is. */
import type { Clock } from '#base';
import { performPlan, type Controller, type ReconcileResult } from '#reconcile';
import { checkMachinePlan } from './check-machine-plan.ts';
import type { EngineChoice } from './choose-engine.ts';
import type { MachineSpec } from './machine.ts';
import type { MachinePolicy } from './machine-policy.ts';
import { machinePerformers, type MachinePerformerDeps } from './perform-machine-plan.ts';
import * as states from './machine-states.ts';
import { planMachine, type MachineSeen } from './plan-machine.ts';

export interface MachineControllerDeps extends MachinePerformerDeps {
  readonly policy: MachinePolicy;
  readonly clock: Clock;
  choose(spec: MachineSpec): Promise<EngineChoice>;
}

export function machinesController(deps: MachineControllerDeps): Controller {
  const { specs, statuses, runs } = deps.recorder;
  return {
    name: 'machines',
    watches: [
      { prefix: 'machine/', keysOf: (key) => [key.slice('machine/'.length)] },
      // What sessions see arrives here: an answer, silence, an end.
      { prefix: 'machine-status/', keysOf: (key) => [key.slice('machine-status/'.length)] },
    ],
    async allKeys() {
      const all = await Promise.all([specs.list(), statuses.list(), runs.list()]);
      return [...new Set(all.flat().map((one) => one.id))];
    },
    reconcile: (id, signal) => reconcileMachine(deps, id, signal),
  };
}

async function reconcileMachine(deps: MachineControllerDeps, id: string, signal: AbortSignal): Promise<ReconcileResult> {
  const seen = await observeMachine(deps, id);
  const plan = planMachine(id, seen, deps.policy);
  checkMachinePlan(plan, seen);
  const { spec } = seen;
  const { settle } = plan;
  if (settle !== null && spec !== undefined) await deps.recorder.change(id, (before) => states.settled(before, spec, settle.phase, settle.why));
  await performPlan({ operations: plan.operations, performers: machinePerformers(deps, id, seen), signal });
  // What an operation set going (a boot, a power-off) has limits of its own, which only a look can find passed.
  const again = plan.againAfterMs ?? (plan.operations.length > 0 && spec !== undefined ? 0 : undefined);
  return { waitingOn: plan.waitingOn, ...(again === undefined ? {} : { againAfterMs: again }) };
}

async function observeMachine(deps: MachineControllerDeps, id: string): Promise<MachineSeen> {
  const first = await deps.recorder.read(id);
  const vmm = await deps.sessions.look(id, first.run);
  // Looking may have proved and recorded an end.
  const { spec, status, run } = await deps.recorder.read(id);
  const engine: EngineChoice = spec?.wanted === 'running' && vmm.state === 'none' ? await deps.choose(spec) : { chosen: null, refusals: [] };
  const suspended = spec?.wanted === 'suspended' && vmm.state === 'none' && run !== undefined ? await deps.engines.get(run.engine)?.suspended?.(run.spec) : undefined;
  return { spec, status, run, vmm, engine, suspended, now: deps.clock.now() };
}
