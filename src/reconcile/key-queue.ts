/**
 * The states of one controller's keys, as a value without timers: which key is due when, which runs, which
 * was woken while it ran. The driver asks it and obeys; so "never two workers on one key" and "no wake is
 * lost" can be proved by property tests.
 *
 *   absent ──wake──▶ due ──take──▶ running ──done──▶ absent, or due later (again, back-off)
 *                     ▲                │ wake: remembered, due at once when done
 *                     └────────────────┘
 */

export interface BackOff {
  /** First pause after a failure, and the shortest one a wake can bring. */
  readonly firstMs: number;
  readonly maxMs: number;
}

export type KeyOutcome = { readonly failed: true } | { readonly failed: false; readonly againAfterMs?: number | undefined };

interface KeyState {
  /** When it is due; undefined while it runs. */
  due: number | undefined;
  /** Not before, whatever wakes it: it failed just now. */
  notBefore: number;
  wokenWhileRunning: boolean;
  failures: number;
}

export interface KeyQueue {
  /** The key is to be looked at, as soon as its failures allow. Returns false where that was known already. */
  wake(key: string, now: number): boolean;
  /** The key that has been due longest, now running; undefined while none is due. */
  take(now: number): string | undefined;
  /** `fraction` in [0, 1): jitter of the back-off. */
  done(key: string, outcome: KeyOutcome, now: number, fraction: number): void;
  /** When the next key is due; undefined where none waits. */
  nextDue(): number | undefined;
  failures(key: string): number;
  dueAt(key: string): number | undefined;
  readonly running: number;
  readonly waiting: number;
}

export function keyQueue(backOff: BackOff): KeyQueue {
  const states = new Map<string, KeyState>();
  let running = 0;

  return {
    wake(key, now) {
      const state = states.get(key);
      if (state === undefined) {
        states.set(key, { due: now, notBefore: now, wokenWhileRunning: false, failures: 0 });
        return true;
      }
      if (state.due === undefined) {
        const news = !state.wokenWhileRunning;
        state.wokenWhileRunning = true;
        return news;
      }
      const at = Math.max(now, state.notBefore);
      if (state.due <= at) return false;
      state.due = at;
      return true;
    },
    take(now) {
      let first: { readonly key: string; readonly state: KeyState; readonly due: number } | undefined;
      for (const [key, state] of states) {
        if (state.due !== undefined && state.due <= now && (first === undefined || state.due < first.due)) first = { key, state, due: state.due };
      }
      if (first === undefined) return undefined;
      first.state.due = undefined;
      first.state.wokenWhileRunning = false;
      running += 1;
      return first.key;
    },
    done(key, outcome, now, fraction) {
      const state = states.get(key);
      if (state === undefined || state.due !== undefined) throw new Error(`key ${key} does not run`);
      running -= 1;
      if (outcome.failed) {
        state.failures += 1;
        state.notBefore = now + backOff.firstMs;
        state.due = state.wokenWhileRunning ? state.notBefore : now + pauseAfter(backOff, state.failures, fraction);
        return;
      }
      state.failures = 0;
      state.notBefore = now;
      if (state.wokenWhileRunning) state.due = now;
      else if (outcome.againAfterMs !== undefined) state.due = now + Math.max(0, outcome.againAfterMs);
      else states.delete(key);
    },
    nextDue() {
      let next: number | undefined;
      for (const { due } of states.values()) if (due !== undefined && (next === undefined || due < next)) next = due;
      return next;
    },
    failures: (key) => states.get(key)?.failures ?? 0,
    dueAt: (key) => states.get(key)?.due,
    get running() { return running; },
    get waiting() { return states.size - running; },
  };
}

/** Doubles with each failure up to the limit, and takes off up to a quarter by chance. */
export function pauseAfter(backOff: BackOff, failures: number, fraction: number): number {
  const whole = Math.min(backOff.maxMs, backOff.firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.max(backOff.firstMs, Math.round(whole * (1 - fraction / 4)));
}
