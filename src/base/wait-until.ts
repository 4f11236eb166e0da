/** Waiting for a level with a limit: the only permitted way to wait for something outside to become true. */
import { systemClock, type Clock } from './clock.ts';
import { StrataError } from './errors.ts';

export interface WaitOptions {
  /** What is awaited, for the error: 'the agent of machine web answers'. */
  readonly what: string;
  readonly limitMs: number;
  /** Pause between looks; default 20 ms. */
  readonly everyMs?: number;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/**
 * Looks until `look` returns something other than undefined or false, and returns that.
 * @throws StrataError `base.timeout` when the limit passes.
 */
export async function waitUntil<T>(look: () => T | undefined | false | Promise<T | undefined | false>, options: WaitOptions): Promise<T> {
  const clock = options.clock ?? systemClock;
  const end = clock.monotonic() + options.limitMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (clock.monotonic() >= end) {
      throw new StrataError(`waited ${options.limitMs} ms in vain until ${options.what}`, { code: 'base.timeout', kind: 'timeout' });
    }
    await clock.wait(options.everyMs ?? 20, options.signal);
  }
}
