/** What a health check makes of its results: Docker's rules, pure. */
import type { GuestProbe } from '../protocol/messages.ts';

export interface ProbeState {
  readonly health: 'starting' | 'healthy' | 'unhealthy';
  readonly failures: number;
  readonly startedAtMs: number;
}

export const newProbeState = (nowMs: number): ProbeState => ({ health: 'starting', failures: 0, startedAtMs: nowMs });

/** Failures within the start period do not count; the first success ends it. */
export function afterProbe(state: ProbeState, probe: GuestProbe, ok: boolean, nowMs: number): ProbeState {
  if (ok) return { ...state, health: 'healthy', failures: 0 };
  if (state.health === 'starting' && nowMs - state.startedAtMs < probe.startPeriodMs) return state;
  const failures = state.failures + 1;
  return { ...state, failures, health: failures >= probe.retries ? 'unhealthy' : state.health };
}

/** Pause until the next probe: the first comes early, and a container that starts is asked often. */
export function nextProbeMs(state: ProbeState, probe: GuestProbe, nowMs: number, first: boolean): number {
  if (state.health !== 'starting') return probe.intervalMs;
  const early = Math.min(probe.startIntervalMs, probe.intervalMs);
  if (first) return Math.min(early, 200);
  return nowMs - state.startedAtMs < probe.startPeriodMs ? early : Math.min(probe.intervalMs, Math.max(early, 250));
}
