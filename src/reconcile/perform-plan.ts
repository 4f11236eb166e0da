/**
 * Carries out a plan's operations in order. Where one fails, it and all before it are undone in reverse:
 * either the whole plan happened or nothing of it. A crash point stands before and after each.
 */
import { asStrataError, failpoint, StrataError } from '#base';
import type { Operation, OperationPerformer } from './operation.ts';

export interface PlanProgress<O extends Operation> {
  readonly operation: O;
  readonly index: number;
  readonly total: number;
  readonly state: 'running' | 'done' | 'failed' | 'undone' | 'undoFailed';
  readonly error?: StrataError;
}

export interface PerformPlanOptions<O extends Operation> {
  readonly operations: readonly O[];
  /** By kind of operation. */
  readonly performers: Readonly<Record<string, OperationPerformer<O>>>;
  readonly signal: AbortSignal;
  /** Awaited, so that progress is recorded before the next step. */
  onProgress?(progress: PlanProgress<O>): void | Promise<void>;
}

/**
 * @throws StrataError `reconcile.noPerformer` before anything is done; else the first failure itself, or
 *   `reconcile.undoFailed` (cause: that failure; details: what could not be undone)
 */
export async function performPlan<O extends Operation>(options: PerformPlanOptions<O>): Promise<void> {
  const { operations, performers, signal } = options;
  const missing = operations.find((one) => performers[one.kind] === undefined);
  if (missing !== undefined) throw new StrataError(`nothing can perform ${missing.kind}`, { code: 'reconcile.noPerformer', kind: 'internal' });
  const tell = async (index: number, state: PlanProgress<O>['state'], error?: StrataError) => {
    await options.onProgress?.({ operation: operations[index] as O, index, total: operations.length, state, ...(error === undefined ? {} : { error }) });
  };
  for (const [index, operation] of operations.entries()) {
    try {
      signal.throwIfAborted();
      await tell(index, 'running');
      failpoint(`${operation.kind}.before`);
      await performers[operation.kind]?.perform(operation, signal);
      failpoint(`${operation.kind}.after`);
      await tell(index, 'done');
    } catch (thrown) {
      const error = asStrataError(thrown, operation.summary);
      await tell(index, 'failed', error);
      throw await undoFrom(options, index, error, tell);
    }
  }
}

/** Undoes all, also past one that cannot be undone; returns what the caller is told. */
async function undoFrom<O extends Operation>(options: PerformPlanOptions<O>, from: number, failure: StrataError, tell: (index: number, state: PlanProgress<O>['state'], error?: StrataError) => Promise<void>): Promise<StrataError> {
  const left: string[] = [];
  for (let index = from; index >= 0; index -= 1) {
    const operation = options.operations[index] as O;
    const performer = options.performers[operation.kind];
    if (performer?.undo === undefined) continue;
    try {
      await performer.undo(operation, failure);
      await tell(index, 'undone');
    } catch (thrown) {
      const error = asStrataError(thrown, `undoing: ${operation.summary}`);
      left.push(`${operation.subject}: ${error.message}`);
      await tell(index, 'undoFailed', error);
    }
  }
  if (left.length === 0) return failure;
  return new StrataError(`${failure.message}; and not all could be undone: ${left.join('; ')}`, { code: 'reconcile.undoFailed', kind: failure.kind, cause: failure, details: { left } });
}
