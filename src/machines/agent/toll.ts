/**
 * How often a guest may make the host do something. Whoever sends faster is not cut off: reading from its
 * line pauses until the debt is paid, so its messages wait in its own memory, not in ours.
 */
import type { Clock } from '#base';

export interface Toll {
  /** Counts one, or as many as said; returns for how many milliseconds to stop reading, 0 while there is no debt. */
  pay(count?: number): number;
}

/** @param perSecond lasting rate; `burst` may come at once. */
export function toll(clock: Clock, perSecond: number, burst: number): Toll {
  let left = burst;
  let at = clock.monotonic();
  return {
    pay(count = 1) {
      const now = clock.monotonic();
      left = Math.min(burst, left + ((now - at) * perSecond) / 1000) - count;
      at = now;
      return left >= 0 ? 0 : Math.ceil((-left * 1000) / perSecond);
    },
  };
}
