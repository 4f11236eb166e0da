/**
 * One small step of a plan: idempotent, with an undo, described as data. A plan is a list of these made by
 * a pure planner; what was shown to the user is what runs.
 */
import type { StrataError } from '#base';

export interface Operation {
  /** `machine.start`, `container.create`: verb of a layer. */
  readonly kind: string;
  /** What it acts on: a record key. */
  readonly subject: string;
  /** One plain line for people: 'start machine shop-x86 (512 MiB, 2 processors)'. */
  readonly summary: string;
}

/** How to carry out one kind of operation. Both must be safe to run twice, and undo safe without perform. */
export interface OperationPerformer<O extends Operation> {
  perform(operation: O, signal: AbortSignal): Promise<void>;
  /** @param failure why it is undone */
  undo?(operation: O, failure: StrataError): Promise<void>;
}
