/** What a health check makes of its results: Docker's rules, pure. */
import type { GuestProbe } from '../protocol/messages.ts';

export interface ProbeState {
  readonly health: 'starting' | 'healthy' | 'unhealthy';
  readonly failures: number;
  readonly startedAtMs: number;
  /** When a failure last counted, or it started. */
  readonly countedAtMs: number;
}

export const newProbeState = (nowMs: number): ProbeState => ({ health: 'starting', failures: 0, startedAtMs: nowMs, countedAtMs: nowMs });

/** Of the probes while it starts, those count that Docker would make: after the start period, one an interval. */
const nearlyAnInterval = 0.9;

/** Failures within the start period do not count, nor those between two intervals of a start; the first success ends it. */
export function afterProbe(state: ProbeState, probe: GuestProbe, ok: boolean, nowMs: number): ProbeState {
  if (ok) return { ...state, health: 'healthy', failures: 0 };
  if (state.health === 'starting' && (nowMs - state.startedAtMs < probe.startPeriodMs || nowMs - state.countedAtMs < probe.intervalMs * nearlyAnInterval)) return state;
  const failures = state.failures + 1;
  return { ...state, failures, countedAtMs: nowMs, health: failures >= probe.retries ? 'unhealthy' : state.health };
}

const firstMs = 100;

/**
 * Pause until the next probe. One that starts is asked early and then ever less often, up to the interval: whoever waits
 * for it learns at once that it is ready. Asking costs a program's start where the check is a command, so those are fewer.
 */
export function nextProbeMs(state: ProbeState, probe: GuestProbe, nowMs: number): number {
  if (state.health !== 'starting') return probe.intervalMs;
  const age = nowMs - state.startedAtMs;
  const most = age < probe.startPeriodMs ? Math.min(probe.startIntervalMs, probe.intervalMs) : probe.intervalMs;
  return Math.min(most, Math.max(firstMs, probe.test.kind === 'command' ? age : age / 8));
}
