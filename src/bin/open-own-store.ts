/**
 * The daemon's store, which one process owns at a time. A daemon that was told to end has closed its socket and may
 * hold the file a moment longer: the next one waits for it. One that still answers goes on, and this one is refused.
 */
import { StrataError, type Clock, type Log } from '#base';
import type { Store } from '#store';
import { openSqliteStore } from '#store/sqlite';

interface OwnStoreOptions {
  readonly path: string;
  /** Whether another daemon answers on the instance's socket. */
  isServed(): Promise<boolean>;
  readonly clock: Clock;
  readonly log: Log;
  /** Default 30 s: one that hangs is not waited for any longer. */
  readonly limitMs?: number;
}

const tryEveryMs = 100;
const busyMs = 100;

/** @throws StrataError `store.locked` where the owner answers or does not let go */
export async function openOwnStore({ path, isServed, clock, log, limitMs = 30_000 }: OwnStoreOptions): Promise<Store> {
  const end = clock.monotonic() + limitMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await openSqliteStore({ path, busyMs });
    } catch (thrown) {
      if (!(thrown instanceof StrataError) || thrown.code !== 'store.locked' || clock.monotonic() >= end || (await isServed())) throw thrown;
      if (attempt === 1) log.info({ path }, 'the store is still held by a daemon that ends; waiting for it');
      await clock.wait(tryEveryMs);
    }
  }
}
