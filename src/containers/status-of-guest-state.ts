/** The agent's word on a container, as the status record that the rest of Strata reads. Pure. */
import type { GuestContainerState } from '#guest-protocol';
import { volumesWritten, type ContainerPhase, type ContainerSpec, type ContainerStatus } from './container.ts';

const phases: Record<GuestContainerState['phase'], ContainerPhase> = {
  created: 'starting', running: 'running', stopping: 'stopping', waiting: 'waiting', exited: 'exited',
};

/** @param guestBootId boot of the guest in which the agent said it. */
export function statusOfGuestState(state: GuestContainerState, spec: ContainerSpec, guestBootId: string): ContainerStatus {
  return {
    id: state.id,
    machineId: spec.machineId,
    phase: phases[state.phase],
    why: reasonOf(state),
    digest: state.digest,
    health: state.health,
    pid: state.pid,
    startedAt: state.startedAtMs > 0 ? Math.round(state.startedAtMs) : null,
    finishedAt: state.finishedAtMs > 0 ? Math.round(state.finishedAtMs) : null,
    exitCode: state.exitCode < 0 ? null : state.exitCode,
    oomKilled: state.oomKilled,
    stopped: false,
    restarts: state.restarts,
    lastProbe: state.lastProbe === null ? null : { at: Math.round(state.lastProbe.atMs), ok: state.lastProbe.ok, output: state.lastProbe.output.slice(0, 4096) },
    ...(state.phase === 'created' ? {} : { startedBy: { way: state.cloned === true ? 'clone' : 'start', why: '' } }),
    writes: [...volumesWritten(spec)],
    guestBootId,
  };
}

function reasonOf(state: GuestContainerState): string {
  if (state.phase === 'running') {
    return state.health === 'unhealthy' ? `its health check fails: ${state.lastProbe?.output.trim().slice(0, 500) ?? 'no output'}` : '';
  }
  if (state.error !== '') return state.error.slice(0, 1000);
  if (state.oomKilled) return 'it was killed because it used all the memory it may use';
  if (state.phase === 'waiting') return `it ended with exit code ${state.exitCode}; it will be started again`;
  if (state.phase === 'exited') return `it ended with exit code ${state.exitCode}`;
  return '';
}
