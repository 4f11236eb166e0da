/** Sleeps until a time or until somebody rings, whichever is first; a ring that came before is not lost. */
import type { Clock } from '#base';

export interface Alarm {
  ring(): void;
  /** Until the clock's monotonic time (undefined: no time), a ring since the last sleep, or the signal. */
  sleepUntil(time: number | undefined, signal: AbortSignal): Promise<void>;
}

/** For one sleeper. */
export function alarm(clock: Clock): Alarm {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async sleepUntil(time, signal) {
      if (!rung && !signal.aborted) {
        const sleep = new AbortController();
        await new Promise<void>((resolve) => {
          wake = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true, signal: sleep.signal });
          if (time !== undefined) clock.wait(Math.max(0, Math.ceil(time - clock.monotonic())), sleep.signal).then(resolve, () => undefined /* rung first */);
        });
        sleep.abort();
        wake = undefined;
      }
      rung = false;
    },
  };
}
