/** The driver of all controllers: starts each, answers what they wait for, stops them in order. */
import { StrataError, type Clock, type Dice, type Log } from '#base';
import type { Store } from '#store';
import type { Controller } from './controller.ts';
import type { BackOff } from './key-queue.ts';
import type { ControllerCounts, KeyStatus } from './key-status.ts';
import { runController } from './run-controller.ts';

export interface RunControllersOptions {
  readonly controllers: readonly Controller[];
  readonly store: Store;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  /** Keys of one controller worked on at once; default 8. */
  readonly concurrency?: number;
  /** Every key is looked at again after about this long; default 60 s. */
  readonly fullRoundMs?: number;
  /** Default 200 ms, doubling to 30 s. */
  readonly backOff?: BackOff;
}

export interface ControllersRun {
  /** What each key last did: its error, what it waits on. */
  statuses(controller?: string): readonly KeyStatus[];
  counts(): readonly ControllerCounts[];
  /** Looks at that key now. @throws StrataError `reconcile.noController` */
  wake(controller: string, key: string): void;
  /** No key of any controller runs or is due now. */
  readonly quiet: boolean;
  /**
   * Tells all to stop and waits until those that run have ended.
   * @throws StrataError `reconcile.stopTimeout`, naming who still runs, after the limit (default 30 s)
   */
  stop(limitMs?: number): Promise<void>;
}

export function runControllers(options: RunControllersOptions): ControllersRun {
  const { clock } = options;
  const end = new AbortController();
  const deps = {
    store: options.store, clock, dice: options.dice, log: options.log,
    concurrency: options.concurrency ?? 8, fullRoundMs: options.fullRoundMs ?? 60_000, backOff: options.backOff ?? { firstMs: 200, maxMs: 30_000 },
  };
  const runs = options.controllers.map((controller) => runController(controller, deps, end.signal));
  const named = new Map(runs.map((run) => [run.name, run]));
  if (named.size !== runs.length) throw new StrataError('two controllers have one name', { code: 'reconcile.duplicateController', kind: 'internal' });
  const ended = Promise.all(runs.map((run) => run.ended));

  return {
    statuses: (controller) => runs.filter((run) => controller === undefined || run.name === controller).flatMap((run) => run.statuses()),
    counts: () => runs.map((run) => run.counts()),
    wake(controller, key) {
      const run = named.get(controller);
      if (run === undefined) throw new StrataError(`there is no controller ${controller}`, { code: 'reconcile.noController', kind: 'notFound' });
      run.wake(key);
    },
    get quiet() { return runs.every((run) => run.quiet); },
    async stop(limitMs = 30_000) {
      end.abort(new StrataError('the daemon stops', { code: 'reconcile.stopped', kind: 'unavailable' }));
      const limit = new AbortController();
      const late = clock.wait(limitMs, limit.signal).then(() => {
        const names = runs.flatMap((run) => run.statuses()).filter((one) => one.running).map((one) => `${one.controller} ${one.key}`);
        throw new StrataError(`still running after ${limitMs} ms: ${names.join(', ')}`, { code: 'reconcile.stopTimeout', kind: 'timeout', details: { keys: names } });
      }, () => undefined);
      try {
        await Promise.race([ended, late]);
      } finally {
        limit.abort();
      }
    },
  };
}
