/** Time that runs many times as fast, so that the product's own pauses and limits hold and a story of minutes takes seconds. */
import { systemClock, type Clock } from '#base';

export function fastClock(times: number): Clock {
  const began = { wall: Date.now(), monotonic: performance.now() };
  return {
    now: () => Math.round(began.wall + (performance.now() - began.monotonic) * times),
    monotonic: () => performance.now() * times,
    wait: (milliseconds, signal) => systemClock.wait(milliseconds / times, signal),
  };
}
