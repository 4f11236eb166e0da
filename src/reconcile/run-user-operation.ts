/**
 * Runs the body of one operation and keeps its record up to date: one write at a time, the latest state
 * wins, so that chatty progress does not become a chatty store.
 */
import { asStrataError, StrataError, type Clock, type Log } from '#base';
import type { Records } from '#store';
import { keptError, type OperationRun, type UserOperation, type UserStep } from './user-operation.ts';

export type OperationBody = (run: OperationRun) => Promise<Record<string, unknown> | void>;

export interface RunningOperation {
  readonly id: string;
  readonly operation: UserOperation;
  cancel(why: StrataError): void;
  /** The record as written at its end; never rejects for a failure of the body. */
  readonly ended: Promise<UserOperation>;
}

/** Code of an error that says: another step failed, this one was given up. */
const notAwaited = 'operation.notAwaited';
const maxSteps = 500;
/** Pause between two writes of progress, milliseconds. */
const writeEveryMs = 100;

export function runUserOperation(records: Records<UserOperation>, first: UserOperation, body: OperationBody, clock: Clock, log: Log): RunningOperation {
  let operation = first;
  const stop = new AbortController();
  const written = writer(records, () => operation, clock, log);
  const set = (change: Partial<UserOperation>) => { operation = { ...operation, ...change }; written.changed(); };

  const run: OperationRun = {
    id: first.id,
    signal: stop.signal,
    step: (name, work) => runStep(name, work),
    progress: (fraction) => set({ progress: Math.min(1, Math.max(0, fraction)) }),
    warn: (message) => set({ warnings: [...operation.warnings, message.slice(0, 1000)].slice(-100) }),
  };

  async function runStep<T>(name: string, work: (say: (message: string) => void) => Promise<T>): Promise<T> {
    stop.signal.throwIfAborted();
    if (operation.steps.length >= maxSteps) return work(() => undefined);
    const index = operation.steps.length;
    const change = (part: Partial<UserStep>) => set({ steps: operation.steps.map((one, at) => (at === index ? { ...one, ...part } : one)) });
    set({ steps: [...operation.steps, { name: name.slice(0, 200), status: 'running', startedAt: clock.now(), endedAt: null, message: '' }] });
    try {
      const result = await work((message) => change({ message: message.slice(0, 1000) }));
      change({ status: 'succeeded', endedAt: clock.now(), message: '' });
      return result;
    } catch (thrown) {
      const error = asStrataError(thrown, name);
      const cancelled = stop.signal.aborted || error.code === notAwaited;
      change({ status: cancelled ? 'cancelled' : 'failed', endedAt: clock.now(), message: error.message.slice(0, 1000) });
      throw thrown;
    }
  }

  async function perform(): Promise<UserOperation> {
    let end: Partial<UserOperation>;
    try {
      const result = await body(run);
      end = { status: 'succeeded', progress: 1, result: result ?? null };
    } catch (thrown) {
      const aborted = stop.signal.aborted ? (stop.signal.reason as StrataError) : undefined;
      const error = aborted ?? asStrataError(thrown, `${first.kind} ${first.subject}`);
      end = { status: aborted?.code === 'operation.cancelled' ? 'cancelled' : 'failed', error: keptError(error) };
    }
    const endedAt = clock.now();
    const steps = operation.steps.map((one) => (one.endedAt === null ? { ...one, status: 'cancelled' as const, endedAt } : one));
    operation = { ...operation, ...end, steps, endedAt };
    await written.finish();
    return operation;
  }

  return {
    id: first.id,
    get operation() { return operation; },
    cancel(why) {
      if (operation.endedAt !== null) return;
      set({ status: 'cancelling' });
      stop.abort(why);
    },
    ended: perform(),
  };
}

/** Writes the latest state, spaced; `finish` writes the last one, which is tried until the store takes it. */
function writer(records: Records<UserOperation>, latest: () => UserOperation, clock: Clock, log: Log) {
  let dirty = false;
  let loop: Promise<void> | undefined;
  const finished = new AbortController();

  const failed = (thrown: unknown) => log.warn({ operation: latest().id, error: asStrataError(thrown, 'writing').message }, 'progress of an operation could not be written');
  async function writeAll(): Promise<void> {
    while (dirty && !finished.signal.aborted) {
      dirty = false;
      await records.put(latest().id, latest()).catch(failed);
      await clock.wait(writeEveryMs, finished.signal).catch(() => undefined);
    }
    loop = undefined;
  }

  return {
    changed() {
      dirty = true;
      loop ??= writeAll();
    },
    async finish(): Promise<void> {
      finished.abort();
      await loop;
      for (let attempt = 1; ; attempt += 1) {
        try {
          await records.put(latest().id, latest());
          return;
        } catch (thrown) {
          failed(thrown);
          // A full disk may be freed; a closed store will not open again: the next start marks it interrupted.
          if (attempt >= 20 || (thrown instanceof StrataError && thrown.code === 'store.closed')) return;
          await clock.wait(500);
        }
      }
    },
  };
}
