/**
 * Drives one controller: watches wake keys, workers take them, results and failures set when they are due
 * again. A watch event, a timer and a full round all lead to the same call of `reconcile` with the key.
 */
import { asStrataError, StrataError, type Clock, type Dice, type Log } from '#base';
import type { Store } from '#store';
import type { Controller } from './controller.ts';
import { keyQueue, pauseAfter, type BackOff, type KeyOutcome } from './key-queue.ts';
import { blankStatus, shownError, type ControllerCounts, type KeyStatus } from './key-status.ts';
import { alarm } from './alarm.ts';

export interface ControllerRunDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly concurrency: number;
  readonly fullRoundMs: number;
  readonly backOff: BackOff;
}

export interface ControllerRun {
  readonly name: string;
  wake(key: string): void;
  statuses(): readonly KeyStatus[];
  counts(): ControllerCounts;
  /** No key runs and none is due now. */
  readonly quiet: boolean;
  /** Ends after the signal: when no key runs and no watch is open. */
  readonly ended: Promise<void>;
}

/** A prefix no key has: its list is empty and tells the store's revision. */
const noKeys = '~';

export function runController(controller: Controller, deps: ControllerRunDeps, signal: AbortSignal): ControllerRun {
  const { clock, dice } = deps;
  const queue = keyQueue(deps.backOff);
  const statuses = new Map<string, KeyStatus>();
  const total = { runs: 0, failures: 0, wakes: 0, coalesced: 0, relists: 0, longestMs: 0 };
  const workers = new Set<Promise<void>>();
  const bell = alarm(clock);
  const status = (key: string): KeyStatus => statuses.get(key) ?? blankStatus(controller.name, key);

  function wake(key: string): void {
    total.wakes += 1;
    if (!queue.wake(key, clock.monotonic())) total.coalesced += 1;
    bell.ring();
  }

  async function work(key: string): Promise<void> {
    const started = clock.monotonic();
    total.runs += 1;
    statuses.set(key, { ...status(key), running: true });
    let outcome: KeyOutcome;
    try {
      const result = await controller.reconcile(key, signal);
      outcome = { failed: false, againAfterMs: result.againAfterMs };
      statuses.set(key, { ...blankStatus(controller.name, key), waitingOn: result.waitingOn ?? [] });
    } catch (thrown) {
      outcome = { failed: true };
      noteFailure(key, thrown);
    }
    const now = clock.monotonic();
    total.longestMs = Math.max(total.longestMs, now - started);
    statuses.set(key, { ...status(key), running: false, lastEndedAt: clock.now(), lastTookMs: Math.round(now - started) });
    queue.done(key, outcome, now, dice.fraction());
    bell.ring();
  }

  function noteFailure(key: string, thrown: unknown): void {
    const error = asStrataError(thrown, `${controller.name} ${key}`);
    statuses.set(key, { ...status(key), failures: queue.failures(key) + 1, lastError: shownError(error, clock.now()), waitingOn: [] });
    if (signal.aborted) return; // told to stop: that it broke off is no failure
    total.failures += 1;
    deps.log.warn({ controller: controller.name, key, code: error.code, failures: queue.failures(key) + 1 }, error.message);
  }

  /** Takes due keys while workers are free; else sleeps until a key is due or the bell rings. */
  async function dispatch(): Promise<void> {
    while (!signal.aborted) {
      const key = queue.running < deps.concurrency ? queue.take(clock.monotonic()) : undefined;
      if (key !== undefined) {
        const worker = work(key).finally(() => workers.delete(worker));
        workers.add(worker);
        continue;
      }
      await bell.sleepUntil(queue.running < deps.concurrency ? queue.nextDue() : undefined, signal);
    }
    await Promise.all(workers);
  }

  async function wakeAll(): Promise<void> {
    const keys = new Set(await controller.allKeys());
    for (const key of keys) wake(key);
    for (const [key, one] of statuses) if (!keys.has(key) && !one.running && queue.dueAt(key) === undefined) statuses.delete(key);
  }

  /** The revision is taken before the keys: what changes in between is seen by the watch. */
  async function relist(): Promise<number> {
    const { revision } = await deps.store.list(noKeys);
    await wakeAll();
    return revision;
  }

  async function follow(watch: Controller['watches'][number]): Promise<void> {
    await persist(async () => {
      const revision = await relist();
      for await (const change of deps.store.watch(watch.prefix, revision, signal)) {
        for (const key of await watch.keysOf(change.key, change.value)) wake(key);
      }
    });
  }

  async function rounds(): Promise<void> {
    await persist(async () => {
      await wakeAll();
      while (!signal.aborted) {
        await clock.wait(Math.round(deps.fullRoundMs * (0.9 + dice.fraction() / 5)), signal);
        await wakeAll();
      }
    });
  }

  /** Begins again after a failure, with back-off: the store may be closed for a moment, a key unreadable. */
  async function persist(body: () => Promise<void>): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      const began = clock.monotonic();
      try {
        await body();
      } catch (thrown) {
        if (signal.aborted) return;
        const error = thrown instanceof StrataError ? thrown : asStrataError(thrown, `controller ${controller.name}`);
        total.relists += 1;
        if (error.code === 'store.compacted') continue;
        failures = clock.monotonic() - began > deps.backOff.maxMs ? 1 : failures + 1;
        deps.log.warn({ controller: controller.name, code: error.code }, error.message);
        await clock.wait(pauseAfter(deps.backOff, failures, dice.fraction()), signal).catch(() => undefined);
      }
    }
  }

  return {
    name: controller.name,
    wake,
    statuses: () => [...statuses.values()],
    counts: () => ({ controller: controller.name, ...total, running: queue.running, waiting: queue.waiting }),
    get quiet() { return queue.running === 0 && (queue.nextDue() ?? Number.POSITIVE_INFINITY) > clock.monotonic(); },
    ended: Promise.all([dispatch(), rounds(), ...controller.watches.map(follow)]).then(() => undefined),
  };
}
