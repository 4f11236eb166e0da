/** The back ends of this host's machines: started with the machine, started again when they die, ended after it. */
import { asStrataError, StrataError, type Clock, type Log } from '#base';
import type { Controller, ReconcileResult } from '#reconcile';
import { recordsOf, type Records, type Store } from '#store';
import type { VmmExit } from '../engine.ts';
import type { EngineName, MachineSpec } from '../machine.ts';
import type { MachineRecorder } from '../machine-recorder.ts';
import { troubled } from '../machine-states.ts';
import { backendSchema, backendStatusSchema, blankStatus, endedByItself, foundRunning, logged, unreachable, type Backend, type BackendStatus } from './backend.ts';
import { backendDisks, backendId, machineOfBackend } from './backend-places.ts';
import type { DiskBackends, RunningBackend } from './disk-backend.ts';
import type { DiskOperations } from './disk-operations.ts';
import { planBackend, type BackendsMachine, type BackendSeen, type BackendStep } from './plan-backend.ts';

export interface BackendsDeps {
  readonly driver: DiskBackends;
  readonly store: Store;
  readonly recorder: MachineRecorder;
  /** Ends a machine's VMM at once; fine where none runs. */
  readonly killMachine: (machineId: string) => Promise<void>;
  /** Whether a VMM of that engine connects again to a back end that was started anew. */
  readonly connectsAgain: (engine: EngineName) => boolean;
  /** Whether a machine's VMM has a line to the back end of its disk; undefined where nobody can tell now. */
  readonly reachesBackend: (machineId: string, serial: string) => Promise<boolean | undefined>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Backends {
  readonly controller: Controller;
  readonly records: Records<Backend>;
  readonly statuses: Records<BackendStatus>;
  /** All back ends of a machine that is about to start serve their disks. @throws StrataError `backend.failed` */
  ensure(spec: MachineSpec): Promise<void>;
  /** While it is neither started nor ended by others: what has the disk open, undefined where nothing has. @param ended it is ended first */
  holding<T>(id: string, work: (operations: DiskOperations | undefined) => Promise<T>, ended?: boolean): Promise<T>;
  /** Lets go of all; they go on. */
  stop(): void;
}

export function openBackends(deps: BackendsDeps): Backends {
  const { driver, store, recorder, clock, log } = deps;
  const records = recordsOf(store, 'backend', backendSchema);
  const statuses = recordsOf(store, 'backend-status', backendStatusSchema);
  const known = new Map<string, RunningBackend>();
  const turns = new Map<string, Promise<unknown>>();
  /** Since when (monotonic) a VMM that ran before it must find it. One that is found running may not have been found yet. */
  const awaited = new Map<string, number>();
  let closed = false;

  const change = async (id: string, to: (before: BackendStatus) => BackendStatus): Promise<void> => { await statuses.update(id, (before) => to(before ?? blankStatus(id))); };

  /** A machine's start and the controller may want the same back end. */
  function inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const mine = (turns.get(id) ?? Promise.resolve()).then(work, work);
    turns.set(id, mine.catch(() => undefined));
    return mine;
  }

  function forget(id: string): void {
    known.get(id)?.release();
    known.delete(id);
  }

  function watch(backend: RunningBackend): void {
    const { id } = backend;
    forget(id);
    if (closed) return backend.release();
    known.set(id, backend);
    awaited.set(id, clock.monotonic());
    void backend.exited.then(async (exit) => {
      if (known.get(id) !== backend) return;
      known.delete(id);
      await change(id, (before) => endedByItself(before, howItEnded(exit), exit.at));
    }).catch((thrown: unknown) => log.warn({ backendId: id, error: asStrataError(thrown, 'exit').message }, 'the end of a back end could not be recorded'));
  }

  async function look(id: string): Promise<'running' | 'gone' | 'unknown'> {
    if (known.has(id)) return 'running';
    const seen = await driver.find(id);
    if (seen.found === 'running') {
      watch(seen.backend);
      await change(id, (before) => foundRunning(before, seen.backend.process, clock.now()));
    }
    if (seen.found === 'unknown') await change(id, (before) => unreachable(before, seen.why));
    if (seen.found === 'gone') await change(id, (before) => endedByItself(before, howItEnded(seen.exit), seen.exit?.at ?? clock.now()));
    return seen.found;
  }

  async function start(backend: Backend): Promise<void> {
    const { id, disk, memoryMiB } = backend;
    try {
      const running = await driver.start({ id, disk, memoryMiB });
      watch(running);
      await change(id, (before) => logged({
        ...before, phase: 'running', why: '', process: running.process, startedAt: clock.now(), restartToken: backend.restartToken ?? null,
        restarts: before.phase === 'failed' ? before.restarts + 1 : before.restarts,
      }, clock.now(), before.phase === 'failed' ? 'it was started again' : 'it was started'));
    } catch (thrown) {
      const error = asStrataError(thrown, `starting the back end of the disk ${disk.serial}`);
      await change(id, (before) => logged({ ...before, phase: 'failed', why: error.message, process: null, endedAt: clock.now(), failures: before.failures + 1 }, clock.now(), error.message));
      throw error;
    }
  }

  async function end(id: string, why: string): Promise<void> {
    const backend = known.get(id);
    known.delete(id);
    await backend?.kill();
    backend?.release();
    await change(id, (before) => logged({ ...before, phase: 'stopped', why, process: null, endedAt: clock.now(), failures: 0 }, clock.now(), why === '' ? 'it was ended, since its machine does not run' : why));
  }

  const steps: Record<Exclude<BackendStep['do'], 'wait' | 'nothing' | 'endMachine'>, (backend: Backend) => Promise<void>> = {
    start,
    end: ({ id }) => end(id, ''),
    restart: ({ id }) => end(id, 'a restart was asked for'),
    found: async ({ id }) => { awaited.delete(id); },
    async remove({ id }) {
      forget(id);
      awaited.delete(id);
      turns.delete(id);
      await driver.erase(id);
      await store.transact({ writes: [{ delete: records.key(id) }, { delete: statuses.key(id) }] });
    },
  };

  async function endMachine({ machineId, disk }: Backend, why: 'ended' | 'lost'): Promise<void> {
    await recorder.change(machineId, (before) => troubled(before, why === 'ended' ? `the back end of its disk ${disk.serial} has ended` : `it does not find the back end of its disk ${disk.serial} again`));
    log.warn({ machineId, disk: disk.serial, why }, 'a machine has lost the back end of a disk, and cannot connect to another: it is restarted');
    await deps.killMachine(machineId);
  }

  /** What cannot be asked is not known. */
  async function lookAtConnection({ id, machineId, disk }: Backend): Promise<BackendSeen['awaited']> {
    const since = awaited.get(id);
    if (since === undefined) return undefined;
    const reached = await deps.reachesBackend(machineId, disk.serial).catch(() => undefined);
    return { sinceMs: clock.monotonic() - since, reached };
  }

  async function reconcile(id: string): Promise<ReconcileResult> {
    const backend = (await records.get(id))?.value;
    if (backend === undefined) return {};
    const found = await look(id);
    const [status, written] = await Promise.all([statuses.get(id), recorder.read(backend.machineId)]);
    const machine = machineOf(written, deps.connectsAgain);
    const connection = found === 'running' && machine?.live === true && machine.connectsAgain ? await lookAtConnection(backend) : undefined;
    const step = planBackend({ backend, status: status?.value, found, machine, awaited: connection, now: clock.now() });
    if (step.do === 'wait') return { againAfterMs: step.forMs };
    if (step.do === 'nothing') return {};
    if (step.do === 'endMachine') {
      await endMachine(backend, step.why);
      return { againAfterMs: 1000 };
    }
    await steps[step.do](backend);
    return step.do === 'remove' || step.do === 'end' ? {} : { againAfterMs: 0 };
  }

  const ofMachine = async (machineId: string): Promise<readonly string[]> => (await records.list()).map((one) => one.id).filter((id) => machineOfBackend(id) === machineId);

  return {
    records, statuses,
    controller: {
      name: 'backends',
      watches: [
        { prefix: 'backend/', keysOf: (key) => [key.slice('backend/'.length)] },
        { prefix: 'backend-status/', keysOf: (key) => [key.slice('backend-status/'.length)] },
        { prefix: 'machine/', keysOf: (key) => ofMachine(key.slice('machine/'.length)) },
        { prefix: 'machine-status/', keysOf: (key) => ofMachine(key.slice('machine-status/'.length)) },
      ],
      allKeys: async () => (await records.list()).map((one) => one.id),
      reconcile: (id) => inTurn(id, () => reconcile(id)),
    },
    async ensure(spec) {
      for (const disk of backendDisks(spec.disks)) {
        const id = backendId(spec.id, disk.serial);
        await inTurn(id, async () => {
          const backend = await records.update(id, (before) => ({ ...before, id, machineId: spec.id, disk, memoryMiB: spec.memoryMiB }));
          const found = await look(id);
          if (found === 'unknown') throw new StrataError(`the back end of the disk ${disk.serial} cannot be reached`, { code: 'backend.failed', kind: 'unavailable', advice: 'it is looked at again in a moment' });
          // A new one: it says the disk's size as it was when it was started.
          if (found === 'running') await end(id, 'its machine starts');
          await start(backend as Backend);
        });
      }
    },
    holding: (id, work, ended = false) => inTurn(id, async () => {
      const found = await records.get(id) === undefined ? 'gone' : await look(id);
      if (found === 'unknown') throw new StrataError(`the back end ${id} cannot be reached`, { code: 'backend.failed', kind: 'unavailable', advice: 'it is looked at again in a moment' });
      if (found === 'running' && ended) await end(id, 'its disk is put back to a snapshot');
      return work(known.get(id)?.disks);
    }),
    stop() {
      closed = true;
      for (const id of [...known.keys()]) forget(id);
    },
  };
}

function machineOf({ spec, run, status }: Awaited<ReturnType<MachineRecorder['read']>>, connectsAgain: BackendsDeps['connectsAgain']): BackendsMachine | undefined {
  if (spec === undefined && run === undefined) return undefined;
  const wanted = spec?.wanted === 'running' || spec?.wanted === 'paused';
  if (run === undefined) return { wanted, live: false, vmmSeen: false, startedAt: 0, connectsAgain: true };
  return { wanted, live: run.live, vmmSeen: status !== undefined && status.process !== null, startedAt: run.startedAt, connectsAgain: connectsAgain(run.engine) };
}

function howItEnded(exit: VmmExit | null): string {
  if (exit === null) return 'it ended, nobody saw how';
  const last = exit.stderr.trim().split('\n').at(-1) ?? '';
  const said = last === '' ? '' : `: ${last.slice(0, 300)}`;
  return exit.signal === null ? `it ended with exit code ${exit.code}${said}` : `it was ended by ${exit.signal}${said}`;
}
