/** Time comes in through the door: wall time for records, monotonic time for limits. */
import { setTimeout as wait } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since 1970, for records and display. */
  now(): number;
  /** Milliseconds from an arbitrary start that never goes back, for limits and durations. */
  monotonic(): number;
  /** Resolves after the given milliseconds; rejects with the signal's reason when aborted. */
  wait(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  wait: (milliseconds, signal) => wait(milliseconds, undefined, signal === undefined ? { ref: true } : { signal }).catch((thrown: unknown) => {
    // Node says only that it was aborted; the reason is what the caller wants to hear.
    throw signal?.aborted === true ? signal.reason : thrown;
  }),
};
