/**
 * Decides what one back end needs next: pure, from its record, what is seen of it, and its machine.
 *
 *   its machine was removed                      ─► remove it
 *   its machine is not wished running, and ended ─► end it
 *   it is dead under a machine that runs         ─► start it, after a pause where it dies again and again;
 *                                                   or end the machine, where its engine cannot connect again
 *   it is alive, and a restart was asked for     ─► end it; the next round starts it
 *   it is alive, and the VMM has not found it    ─► look again; end the machine where it never will
 * The first of each run is started by the machine's own start, which waits for it (open-backends.ts): until that has
 * been, the one of the run before is no loss.
 */
import type { Backend, BackendStatus } from './backend.ts';

export interface BackendSeen {
  readonly backend: Backend;
  readonly status: BackendStatus | undefined;
  readonly found: 'running' | 'gone' | 'unknown';
  /** Whether the VMM has found it since it was started under it: undefined where that was seen, or it was there first. */
  readonly awaited: { readonly sinceMs: number; readonly reached: boolean | undefined } | undefined;
  /** Undefined where its wish was deleted and nothing of it runs. */
  readonly machine: BackendsMachine | undefined;
  readonly now: number;
}

export interface BackendsMachine {
  readonly wanted: boolean;
  /** Its VMM may run. */
  readonly live: boolean;
  /** Its VMM was seen in this run; until then it may be on its way. */
  readonly vmmSeen: boolean;
  /** When this run began. */
  readonly startedAt: number;
  readonly connectsAgain: boolean;
}

export type BackendStep =
  | { readonly do: 'nothing' | 'start' | 'end' | 'restart' | 'remove' | 'found' }
  | { readonly do: 'endMachine'; readonly why: 'ended' | 'lost' }
  | { readonly do: 'wait'; readonly forMs: number };

const longestPauseMs = 30_000;
const firstPauseMs = 500;
/** QEMU looks for a back end each second. */
const lostAfterMs = 10_000;
const lookAgainMs = { first: 500, longest: 30_000 };

export function planBackend({ backend, status, found, machine, awaited, now }: BackendSeen): BackendStep {
  if (machine === undefined) return { do: 'remove' };
  if (found === 'unknown') return { do: 'wait', forMs: 1000 };
  if (!machine.live) return { do: !machine.wanted && (found === 'running' || status?.phase === 'running' || status?.phase === 'failed') ? 'end' : 'nothing' };
  if (found === 'running' && restartAsked(backend, status)) return { do: 'restart' };
  if (found === 'running') return awaited === undefined ? { do: 'nothing' } : planConnection(awaited);
  if (!machine.vmmSeen && !(machine.connectsAgain && startedFor(machine, status))) return { do: 'nothing' };
  if (!machine.connectsAgain) return { do: 'endMachine', why: 'ended' };
  const pause = pauseLeft(status, now);
  return pause > 0 ? { do: 'wait', forMs: pause } : { do: 'start' };
}

/** Nobody can tell of a machine that stands still, however long. */
function planConnection({ sinceMs, reached }: NonNullable<BackendSeen['awaited']>): BackendStep {
  if (reached === true) return { do: 'found' };
  if (reached === false && sinceMs >= lostAfterMs) return { do: 'endMachine', why: 'lost' };
  return { do: 'wait', forMs: Math.min(lookAgainMs.longest, Math.max(lookAgainMs.first, sinceMs / 4)) };
}

const restartAsked = (backend: Backend, status: BackendStatus | undefined): boolean => status !== undefined && (backend.restartToken ?? null) !== status.restartToken;

/** Not for an earlier run. */
const startedFor = (machine: BackendsMachine, status: BackendStatus | undefined): boolean => status !== undefined && status.startedAt !== null && status.startedAt >= machine.startedAt;

/** None after the first end: a guest waits. Bounded also where the clock was set back. */
function pauseLeft(status: BackendStatus | undefined, now: number): number {
  if (status === undefined || status.endedAt === null || status.failures < 2) return 0;
  const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(status.failures - 2, 10));
  return Math.max(0, Math.min(pause, status.endedAt + pause - now));
}
