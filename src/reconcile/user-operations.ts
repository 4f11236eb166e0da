/**
 * Long work people start: kept as records, so that the CLI, the console and the next daemon see the same
 * story. An operation whose daemon died is marked interrupted, or run again where its kind permits.
 */
import { newId, StrataError, type Clock, type Dice, type Log } from '#base';
import { recordsOf, type Store } from '#store';
import { hasEnded, keptError, userOperationSchema, type UserOperation } from './user-operation.ts';
import { runUserOperation, type OperationBody, type RunningOperation } from './run-user-operation.ts';

export interface OpenUserOperations {
  readonly store: Store;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  /** Ended operations kept; default 200. */
  readonly keep?: number;
  /** How long ended operations are kept; default 7 days. */
  readonly keepMs?: number;
  /** Kinds that are run again after the daemon died, from the input they were started with. At most 3 attempts. */
  readonly reruns?: Readonly<Record<string, (input: unknown) => OperationBody>>;
}

export interface StartOptions {
  /** Kept for a re-run; plain JSON. */
  readonly input?: unknown;
  /** Refuse while another operation on the subject runs. */
  readonly exclusive?: boolean;
}

export interface UserOperations {
  /** Writes the record, starts the body, returns at once. @throws StrataError `operation.busy` */
  start(kind: string, subject: string, body: OperationBody, options?: StartOptions): Promise<UserOperation>;
  /** @throws StrataError `operation.notFound` */
  get(id: string): Promise<UserOperation>;
  /** The newest first. */
  list(query?: { readonly subject?: string | undefined; readonly limit?: number | undefined }): Promise<readonly UserOperation[]>;
  /** The operation now and after each change; ends after it has ended or the signal. */
  follow(id: string, signal: AbortSignal): AsyncIterable<UserOperation>;
  /** The operation once it has ended. */
  wait(id: string, signal: AbortSignal): Promise<UserOperation>;
  /** Asks it to end; one that ended stays as it is. @throws StrataError `operation.notFound` */
  cancel(id: string): Promise<UserOperation>;
  /** Called once at the daemon's start: settles what an earlier daemon left running. Returns how many. */
  recover(): Promise<number>;
  /** Interrupts what runs and waits for its end. */
  stop(): Promise<void>;
}

const maxAttempts = 3;

export function openUserOperations(deps: OpenUserOperations): UserOperations {
  const { store, clock, log } = deps;
  const records = recordsOf(store, 'operation', userOperationSchema);
  const running = new Map<string, RunningOperation>();
  const busy = new Set<string>();

  function begin(first: UserOperation, body: OperationBody): void {
    const one = runUserOperation(records, first, body, clock, log);
    running.set(first.id, one);
    void one.ended.then(() => { running.delete(first.id); return retire(); }).catch((thrown: unknown) => log.warn({ error: String(thrown) }, 'old operations could not be removed'));
  }

  /** Ended ones beyond number or age go. */
  async function retire(): Promise<void> {
    const ended = (await records.list()).filter((one) => hasEnded(one.value)).sort(newestFirst);
    const oldest = clock.now() - (deps.keepMs ?? 7 * 24 * 3600_000);
    const gone = ended.filter((one, index) => index >= (deps.keep ?? 200) || (one.value.endedAt ?? 0) < oldest);
    for (const one of gone) await records.delete(one.id);
  }

  async function get(id: string): Promise<UserOperation> {
    const one = (await records.get(id))?.value;
    if (one === undefined) throw new StrataError(`there is no operation ${id}`, { code: 'operation.notFound', kind: 'notFound', advice: 'ended operations are kept for some days only' });
    return one;
  }

  async function* follow(id: string, signal: AbortSignal): AsyncGenerator<UserOperation> {
    for (;;) {
      const { revision } = await store.list('~');
      let last = await get(id);
      yield last;
      if (hasEnded(last)) return;
      try {
        for await (const change of records.watch(revision, signal)) {
          if (change.id !== id) continue;
          if (change.value === undefined) return;
          last = change.value;
          yield last;
          if (hasEnded(last)) return;
        }
        return;
      } catch (thrown) {
        if (!(thrown instanceof StrataError && thrown.code === 'store.compacted')) throw thrown;
      }
    }
  }

  return {
    get, follow,
    async start(kind, subject, body, options = {}) {
      const taken = [...running.values()].find((one) => one.operation.subject === subject);
      if (options.exclusive === true && (taken !== undefined || busy.has(subject))) {
        throw new StrataError(`${taken?.operation.kind ?? 'another operation'} of ${subject} is still running`, { code: 'operation.busy', kind: 'conflict', advice: 'wait for it or cancel it', details: { operation: taken?.id } });
      }
      busy.add(subject);
      try {
        const operation: UserOperation = {
          id: newId('operation', deps.dice), kind, subject, status: 'running', steps: [], progress: 0, result: null, error: null, warnings: [],
          ...(options.input === undefined ? {} : { input: options.input }), attempts: 1, createdAt: clock.now(), endedAt: null,
        };
        await records.put(operation.id, operation, { ifRevision: 0 });
        begin(operation, body);
        return operation;
      } finally {
        busy.delete(subject);
      }
    },
    async list(query = {}) {
      const all = (await records.list()).filter((one) => query.subject === undefined || one.value.subject === query.subject).sort(newestFirst);
      return all.slice(0, query.limit).map((one) => one.value);
    },
    async wait(id, signal) {
      let last = await get(id);
      for await (const one of follow(id, signal)) last = one;
      signal.throwIfAborted();
      return last;
    },
    async cancel(id) {
      const one = running.get(id);
      one?.cancel(new StrataError('the operation was cancelled', { code: 'operation.cancelled', kind: 'refused' }));
      return one?.operation ?? get(id);
    },
    async recover() {
      const left = (await records.list()).map((one) => one.value).filter((one) => !hasEnded(one) && !running.has(one.id));
      for (const one of left) await settle(one);
      await retire();
      return left.length;
    },
    async stop() {
      for (const one of running.values()) one.cancel(interrupted());
      await Promise.all([...running.values()].map((one) => one.ended));
    },
  };

  async function settle(one: UserOperation): Promise<void> {
    const again = one.status === 'running' && one.attempts < maxAttempts ? deps.reruns?.[one.kind] : undefined;
    if (again !== undefined) {
      const next: UserOperation = { ...one, steps: [], progress: 0, attempts: one.attempts + 1, warnings: [...one.warnings, 'begun again after the daemon had ended'] };
      await records.put(one.id, next);
      begin(next, again(one.input));
      return;
    }
    const endedAt = clock.now();
    const cancelled = one.status === 'cancelling';
    await records.put(one.id, {
      ...one, status: cancelled ? 'cancelled' : 'failed', endedAt, error: keptError(interrupted()),
      steps: one.steps.map((step) => (step.endedAt === null ? { ...step, status: 'cancelled', endedAt } : step)),
    });
  }
}

function interrupted(): StrataError {
  return new StrataError('the daemon ended while the operation ran', { code: 'operation.interrupted', kind: 'unavailable', advice: 'run the command again: what was done is kept' });
}

function newestFirst(one: { readonly value: UserOperation; readonly created: number }, other: { readonly value: UserOperation; readonly created: number }): number {
  return other.created - one.created;
}
