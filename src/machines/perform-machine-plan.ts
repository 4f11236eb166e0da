/**
 * Carries out the operations of a machine's plan. Each is idempotent and says what undoes it; the driver of
 * plans puts a crash point before and after each.
 */
import { asStrataError, failpoint, StrataError, type Clock, type Log, type ProcessIdentity } from '#base';
import type { HostNetwork } from '#pool';
import type { GenerationGuard, OperationPerformer } from '#reconcile';
import type { Backends } from './backends/open-backends.ts';
import { backendDisks } from './backends/backend-places.ts';
import type { Engine, RunningMachine } from './engine.ts';
import type { EngineName, MachineSpec } from './machine.ts';
import type { MachineCopies } from './machine-copies.ts';
import { makeOwnDisks } from './machine-disks.ts';
import type { MachineRun } from './machine-run.ts';
import type { MachineRecorder } from './machine-recorder.ts';
import type { MachineSessions } from './machine-sessions.ts';
import * as states from './machine-states.ts';
import type { MachineOperation, MachineOperationKind, MachineSeen } from './plan-machine.ts';

export interface MachinePerformerDeps {
  readonly engines: ReadonlyMap<EngineName, Engine>;
  readonly network: HostNetwork;
  removeDisks(machineId: string): Promise<void>;
  readonly backends: Pick<Backends, 'ensure'> | undefined;
  readonly recorder: MachineRecorder;
  readonly sessions: MachineSessions;
  readonly guard: GenerationGuard;
  readonly copies: Pick<MachineCopies, 'clone'>;
  endProcess(identity: ProcessIdentity): Promise<boolean>;
  readonly clock: Clock;
  readonly log: Log;
}

export function machinePerformers(deps: MachinePerformerDeps, id: string, seen: MachineSeen): Record<MachineOperationKind, OperationPerformer<MachineOperation>> {
  const { recorder, sessions, clock } = deps;
  const { spec, run, engine: choice } = seen;
  const stopAndRecord = async () => {
    if (spec === undefined || spec.wanted === 'stopped' || seen.vmm.state !== 'running' || (seen.vmm.trouble === null && run?.answeredAt !== null)) {
      await recorder.change(id, (before) => states.stopping(before, spec === undefined ? 'it is removed' : spec.wanted === 'stopped' ? 'it is being stopped' : 'it is being restarted'));
    }
  };
  let started: RunningMachine | undefined;
  const kill = async () => { await (sessions.get(id)?.machine ?? started)?.kill(); };

  return {
    'machine.start': {
      async perform(_operation, signal) {
        if (spec === undefined || choice.chosen === null) throw new StrataError(`machine ${id} has no wish or no engine`, { code: 'machine.noEngine', kind: 'internal' });
        await deps.guard.admit(recorder.specs.key(id), spec.generation);
        const engine = deps.engines.get(choice.chosen) as Engine;
        await sessions.forget(id);
        const served = backendDisks(spec.disks);
        if (served.length > 0 && deps.backends === undefined) throw new StrataError(`machine ${spec.name} has disks that back ends serve, and this host has none`, { code: 'machine.noBackends', kind: 'refused' });
        if (run === undefined) await makeOwnDisks(spec);
        await recorder.change(id, (before) => states.starting(before, spec, { engine: engine.name, why: choice.why }, clock.now()));
        try {
          await deps.backends?.ensure(spec);
          const whyNot = await putFrom(deps, spec, run, engine);
          started = await engine.start(spec, signal);
          await sessions.begin(spec, started);
          if (whyNot !== undefined) await recorder.change(id, (before) => states.startedOtherwise(before, whyNot));
        } catch (thrown) {
          const error = asStrataError(thrown, `starting machine ${spec.name}`);
          await recorder.change(id, (before) => states.failedToStart(before, error.message, clock.now()));
          throw error;
        }
      },
      // The engine has made its interface, or handed it over with a machine of the pool.
      async undo(_operation, failure) {
        // Written first, or its end would be told as ours; it is killed whether or not that can be written.
        const told = recorder.change(id, (before) => states.startUndone(before, failure.message, clock.now()))
          .catch((thrown: unknown) => deps.log.warn({ machineId: id, error: asStrataError(thrown, 'undoing').message }, 'why a start is undone could not be recorded'));
        await kill();
        await told;
        if (spec?.network !== null) await deps.network.removeTap(id);
      },
    },
    // A session that is gone meanwhile has nothing to pause; the next round sees why.
    'machine.pause': {
      async perform() {
        const session = sessions.get(id);
        if (session === undefined || spec === undefined) return;
        await deps.guard.admit(recorder.specs.key(id), spec.generation);
        await session.pause();
        failpoint('machines.afterPause');
        await recorder.change(id, states.paused);
      },
    },
    'machine.resume': {
      async perform() {
        await sessions.get(id)?.resume();
        failpoint('machines.afterResume');
        await recorder.change(id, states.resumed);
      },
    },
    'machine.suspend': {
      async perform() {
        const session = sessions.get(id);
        if (session === undefined || spec === undefined) return;
        await deps.guard.admit(recorder.specs.key(id), spec.generation);
        await recorder.change(id, (before) => states.stopping(before, 'it is being suspended'));
        await session.suspend().catch(async (thrown: unknown) => {
          const error = asStrataError(thrown, `suspending machine ${spec.name}`);
          await recorder.change(id, (before) => states.goesOn(before, error.message));
          throw error;
        });
      },
    },
    'machine.powerOff': {
      async perform() {
        await stopAndRecord();
        sessions.get(id)?.powerOff();
      },
    },
    'machine.kill': {
      async perform() {
        await stopAndRecord();
        await kill();
      },
    },
    'machine.endProcess': {
      async perform() {
        const identity = seen.status?.process;
        if (identity !== null && identity !== undefined) await deps.endProcess(identity);
      },
    },
    'machine.erase': {
      async perform() {
        await sessions.forget(id);
        // Of one that never ran any engine may have the disks: it was made by copying another's.
        for (const engine of run === undefined ? deps.engines.values() : [deps.engines.get(run.engine)]) await engine?.erase(id);
      },
    },
    'machine.removeTap': { perform: () => deps.network.removeTap(id) },
    'machine.forget': {
      async perform() {
        await deps.removeDisks(id);
        await deps.guard.forget(recorder.specs.key(id));
        await recorder.forget(id);
      },
    },
  };
}

/**
 * Puts there what the machine's first start goes on from. Undefined where it is there or none is wished, else why it boots:
 * only one start may fail for a snapshot.
 */
async function putFrom({ copies, log }: MachinePerformerDeps, spec: MachineSpec, run: MachineRun | undefined, engine: Engine): Promise<string | undefined> {
  if (spec.from === undefined || run?.end === 'wished' || run?.end === 'restart' || (run !== undefined && run.answeredAt !== null)) return undefined;
  if (run !== undefined) {
    await engine.erase(spec.id);
    return 'it did not go on from its snapshot, and boots';
  }
  try {
    await copies.clone(spec.from.machineId, spec.from.snapshotId, spec, { memory: true, full: false });
    return undefined;
  } catch (thrown) {
    const { message } = asStrataError(thrown, `going on from snapshot ${spec.from.snapshotId}`);
    log.warn({ machineId: spec.id, error: message }, 'a machine cannot go on from another one\'s snapshot, and boots');
    await engine.erase(spec.id); // what of it lies there already
    return message;
  }
}
