/** How long to wait before a container is started again: 100 ms, doubling to one minute; a good run starts over. Pure. */
const firstMs = 100;
const longestMs = 60_000;
/** A container that ran this long has proved that it can. */
export const goodRunMs = 10_000;

/** @param failures ended runs in a row that were not good, at least 1. */
export function backOffMs(failures: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 20));
}

export interface Restart { readonly policy: 'no' | 'on-failure' | 'always' | 'unless-stopped'; readonly maxAttempts?: number }

export function shouldRestart(restart: Restart, exitCode: number, restarts: number): boolean {
  if (restart.policy === 'no') return false;
  if (restart.policy === 'on-failure') return exitCode !== 0 && (restart.maxAttempts === undefined || restarts < restart.maxAttempts);
  return true;
}
