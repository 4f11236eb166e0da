/** What the driver last knew of each key, for `why` and for the status pages: bounded, in memory. */
import type { StrataError } from '#base';
import type { ReconcileResult } from './controller.ts';

export interface KeyStatus {
  readonly controller: string;
  readonly key: string;
  readonly running: boolean;
  /** Failures in a row. */
  readonly failures: number;
  readonly lastError: { readonly code: string; readonly message: string; readonly advice?: string; readonly at: number } | null;
  readonly waitingOn: NonNullable<ReconcileResult['waitingOn']>;
  /** Milliseconds since 1970; null before the first end. */
  readonly lastEndedAt: number | null;
  readonly lastTookMs: number | null;
}

export interface ControllerCounts {
  readonly controller: string;
  /** Calls of reconcile, ended or not. */
  readonly runs: number;
  readonly failures: number;
  /** Wakes by watch, timer, round or hand. */
  readonly wakes: number;
  /** Wakes that found the key waiting already. */
  readonly coalesced: number;
  readonly relists: number;
  readonly running: number;
  readonly waiting: number;
  readonly longestMs: number;
}

export const blankStatus = (controller: string, key: string): KeyStatus => ({ controller, key, running: false, failures: 0, lastError: null, waitingOn: [], lastEndedAt: null, lastTookMs: null });

/** The error as it is shown. */
export function shownError(error: StrataError, at: number): KeyStatus['lastError'] {
  return { code: error.code, message: error.message, ...(error.advice === undefined ? {} : { advice: error.advice }), at };
}
