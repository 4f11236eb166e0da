/**
 * The sessions of all machines that run on this host, and how they come about: by a start, or by finding what
 * an earlier daemon left. What sessions see goes into the records, whose change wakes the controller.
 */
import { asStrataError, hostBootId, type Clock, type Dice, type Log, type ProcessIdentity } from '#base';
import type { Engine, RunningMachine, VmmExit } from './engine.ts';
import type { EngineName, MachineSpec } from './machine.ts';
import type { MachinePolicy } from './machine-policy.ts';
import type { MachineRecorder } from './machine-recorder.ts';
import type { MachineRun } from './machine-run.ts';
import { openMachineSession, type MachineSession } from './machine-session.ts';
import * as states from './machine-states.ts';
import type { VmmSeen } from './plan-machine.ts';

export interface MachineSessionsDeps {
  readonly engines: ReadonlyMap<EngineName, Engine>;
  readonly recorder: MachineRecorder;
  readonly policy: MachinePolicy;
  /** Ends exactly that process; false where it is gone. */
  endProcess(identity: ProcessIdentity): Promise<boolean>;
  readonly hostBootId?: () => string;
  /** A machine of an earlier daemon runs, and is this one's now. */
  readonly foundAgain?: (id: string) => void;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
}

export interface MachineSessions {
  /** What is seen of the machine's VMM; finds it where this daemon does not know it yet, and records a proved end. */
  look(id: string, run: MachineRun | undefined): Promise<VmmSeen>;
  /** A session also where the VMM has ended just now, for its console; undefined where there was none. */
  get(id: string): MachineSession | undefined;
  /** Takes over a machine that the engine just started. */
  begin(spec: MachineSpec, machine: RunningMachine): Promise<void>;
  forget(id: string): Promise<void>;
  close(): Promise<void>;
}

export function machineSessions(deps: MachineSessionsDeps): MachineSessions {
  const { recorder, clock, policy } = deps;
  const bootIdNow = deps.hostBootId ?? hostBootId;
  const sessions = new Map<string, MachineSession>();
  const unreachableSince = new Map<string, number>();
  let closed = false;

  async function recordEnd(id: string, exit: VmmExit | null): Promise<void> {
    await recorder.change(id, (before, spec) => states.ended(before, {
      exit, spec, now: clock.now(), policy, hostRebooted: before.status?.process !== null && before.status?.process !== undefined && before.status.process.bootId !== bootIdNow(),
    }));
  }

  async function begin(spec: MachineSpec, machine: RunningMachine, paused = false): Promise<void> {
    const id = spec.id;
    await sessions.get(id)?.release();
    const { status } = await recorder.change(id, (before) => states.found(before, machine));
    if (closed) return machine.release();
    sessions.set(id, openMachineSession({
      machine, spec, policy, clock, dice: deps.dice, log: deps.log, paused, knownGuestBootId: status?.guest?.bootId ?? null, clockStale: paused || status?.phase === 'paused',
      listener: {
        answered: async (hello) => { await recorder.change(id, (before) => states.answered(before, hello, clock.now())); },
        troubled: async (why) => { await recorder.change(id, (before) => states.troubled(before, why)); },
        recovered: async () => { await recorder.change(id, (before) => states.recovered(before)); },
        ended: (exit) => recordEnd(id, exit),
      },
    }));
  }

  async function find(id: string, run: MachineRun): Promise<VmmSeen> {
    const engine = deps.engines.get(run.engine);
    if (engine === undefined) return unknown(id, `this host has no engine ${run.engine} any more`, false);
    const result = await engine.adopt(run.spec);
    if (result.found === 'unknown') return unknown(id, result.why, (await recorder.statuses.get(id))?.value.process != null);
    if (result.found === 'gone') {
      unreachableSince.delete(id);
      await recordEnd(id, result.exit);
      return { state: 'none' };
    }
    const paused = await result.machine.isPaused().catch((thrown: unknown) => asStrataError(thrown, 'finding it again'));
    if (typeof paused !== 'boolean') {
      await result.machine.release();
      return unknown(id, paused.message, true);
    }
    await begin(run.spec, result.machine, paused);
    deps.foundAgain?.(id);
    unreachableSince.delete(id);
    return sessions.get(id)?.seen() ?? unknown(id, 'the daemon stops', false);
  }

  function unknown(id: string, why: string, canEnd: boolean): VmmSeen {
    const since = unreachableSince.get(id) ?? clock.monotonic();
    unreachableSince.set(id, since);
    return { state: 'unknown', why, canEnd, forMs: clock.monotonic() - since };
  }

  return {
    get: (id) => sessions.get(id),
    begin,
    async look(id, run) {
      const session = sessions.get(id);
      if (session !== undefined && session.exit === undefined) return session.seen();
      if (run === undefined || !run.live) return { state: 'none' };
      if (session?.exit !== undefined) {
        await recordEnd(id, session.exit);
        return { state: 'none' };
      }
      return find(id, run);
    },
    async forget(id) {
      await sessions.get(id)?.release();
      sessions.delete(id);
      unreachableSince.delete(id);
    },
    async close() {
      closed = true;
      const all = await Promise.allSettled([...sessions.values()].map((session) => session.release()));
      sessions.clear();
      for (const one of all) if (one.status === 'rejected') deps.log.warn({ error: asStrataError(one.reason, 'release').message }, 'a machine could not be let go of');
    },
  };
}
