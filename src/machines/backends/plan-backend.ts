/**
 * Decides what one back end needs next: pure, from its record, what is seen of it, and its machine.
 *
 *   its machine was removed                      ─► remove it
 *   its machine is not wished running, and ended ─► end it
 *   it is dead under a machine that runs         ─► start it, after a pause where it dies again and again;
 *                                                   or end the machine, where its engine cannot connect again
 *   it is alive, and a restart was asked for     ─► end it; the next round starts it
 * The first start is the machine's own: it waits for its back ends (open-backends.ts).
 */
import type { Backend, BackendStatus } from './backend.ts';

export interface BackendSeen {
  readonly backend: Backend;
  readonly status: BackendStatus | undefined;
  readonly found: 'running' | 'gone' | 'unknown';
  /** Undefined where its wish was deleted and nothing of it runs. */
  readonly machine: { readonly wanted: boolean; readonly live: boolean; readonly connectsAgain: boolean } | undefined;
  readonly now: number;
}

export type BackendStep =
  | { readonly do: 'nothing' | 'start' | 'end' | 'restart' | 'remove' | 'endMachine' }
  | { readonly do: 'wait'; readonly forMs: number };

const longestPauseMs = 30_000;
const firstPauseMs = 500;

export function planBackend({ backend, status, found, machine, now }: BackendSeen): BackendStep {
  if (machine === undefined) return { do: 'remove' };
  if (found === 'unknown') return { do: 'wait', forMs: 1000 };
  if (!machine.live) return { do: !machine.wanted && (found === 'running' || status?.phase === 'running' || status?.phase === 'failed') ? 'end' : 'nothing' };
  if (found === 'running') return { do: restartAsked(backend, status) ? 'restart' : 'nothing' };
  if (!machine.connectsAgain) return { do: 'endMachine' };
  const pause = pauseLeft(status, now);
  return pause > 0 ? { do: 'wait', forMs: pause } : { do: 'start' };
}

const restartAsked = (backend: Backend, status: BackendStatus | undefined): boolean => status !== undefined && (backend.restartToken ?? null) !== status.restartToken;

/** None after the first end: a guest waits. Bounded also where the clock was set back. */
function pauseLeft(status: BackendStatus | undefined, now: number): number {
  if (status === undefined || status.endedAt === null || status.failures < 2) return 0;
  const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(status.failures - 2, 10));
  return Math.max(0, Math.min(pause, status.endedAt + pause - now));
}
