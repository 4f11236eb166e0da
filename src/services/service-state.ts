/** One service in a word and a reason, from what its containers and machines say. Pure. */
import type { ContainerSpec, ContainerStatus } from '#containers';
import type { AppObserved } from './app-observed.ts';
import type { AppStatus } from './app-record.ts';
import type { ServiceSpec } from './app.ts';

type Member = { readonly spec: ContainerSpec; readonly status: ContainerStatus | undefined };
/** After so many restarts a container is called failing; the agent goes on trying. */
export const crashLoopRestarts = 3;
/** After so many starts anew a machine that fails is called failed. */
const machineRestarts = 2;

export function serviceState(service: ServiceSpec, containers: readonly Member[], observed: AppObserved, waitingOn: AppStatus['waitingOn']): AppStatus['services'][number] {
  const active = containers.filter((one) => !one.spec.draining);
  const ready = active.filter((one) => isServing(one.status)).length;
  const base = { name: service.name, wanted: service.replicas, ready };
  if (active.length > 0 && active.every((one) => one.spec.wanted === 'stopped')) return { ...base, state: 'stopping', why: 'it was stopped' };
  const failed = active.map((one) => failureOf(one, observed)).find((why) => why !== undefined);
  if (failed !== undefined) return { ...base, state: 'failed', why: failed };
  const waits = waitingOn.find((one) => one.subject === service.name || one.subject.startsWith(`${service.name}-`));
  // What still runs as it was wished before serves, but it is not what was asked for.
  const stale = active.some((one) => one.spec.configDigest !== observed.configDigests.get(service.name));
  if (stale) return { ...base, state: 'starting', why: waits?.why ?? 'its replicas are being replaced' };
  if (ready >= service.replicas) return { ...base, state: 'ready', why: '' };
  const done = active.filter((one) => one.status?.phase === 'exited' && one.status.exitCode === 0).length;
  if (active.length >= service.replicas && ready + done >= service.replicas) return { ...base, state: 'completed', why: 'it ended with exit code 0' };
  if (waits !== undefined) return { ...base, state: 'waiting', why: waits.why };
  return { ...base, state: 'starting', why: startingWhy(active, observed) };
}

function isServing(status: ContainerStatus | undefined): boolean {
  return status?.phase === 'running' && (status.health === 'none' || status.health === 'healthy');
}

/** The probe as a person would try it. */
function probeText(test: NonNullable<ContainerSpec['guest']['health']>['test']): string {
  if (test.kind === 'command') return `\`${test.argv.join(' ').slice(0, 120)}\``;
  return test.kind === 'http' ? `GET http://localhost:${test.port}${test.path}` : `connecting to port ${test.port}`;
}

function unhealthyWhy({ name, guest }: ContainerSpec, status: ContainerStatus): string {
  const output = status.lastProbe?.output.trim().slice(0, 500) ?? '';
  return `${name} is unhealthy${guest.health === null ? '' : `, by its probe ${probeText(guest.health.test)}`}: ${output || 'its probe gave no output'}`;
}

/** What ended while it started is started again in a moment; what cannot be started at all is said at once. */
function machineFailure(machine: AppObserved['machines'][number] | undefined): string | undefined {
  if (machine?.status?.phase !== 'failed') return undefined;
  const again = machine.status.startedAt !== null && machine.status.restarts < machineRestarts;
  return again ? undefined : `machine ${machine.spec.name}: ${machine.status.why}`;
}

function failureOf(one: Member, observed: AppObserved): string | undefined {
  const machine = observed.machines.find((candidate) => candidate.spec.id === one.spec.machineId);
  const ofMachine = machineFailure(machine);
  if (ofMachine !== undefined) return ofMachine;
  const status = one.status;
  if (status === undefined || status.digest !== one.spec.guest.digest) return undefined;
  const name = one.spec.name;
  if (status.health === 'unhealthy' && status.phase === 'running') return unhealthyWhy(one.spec, status);
  if (status.phase === 'exited' && status.exitCode !== 0 && !status.stopped) {
    return machine?.spec.wanted === 'stopped' ? `machine ${machine.spec.name} was stopped` : `${name} ended with exit code ${status.exitCode ?? '?'}${reasonOf(status)}`;
  }
  if (status.phase === 'waiting' && status.restarts >= crashLoopRestarts) return `${name} was started ${status.restarts + 1} times and ended each time, last with exit code ${status.exitCode ?? '?'}${reasonOf(status)}`;
  return undefined;
}

/** What the guest says beyond the exit code: that there is no such program, that memory ran out. */
const reasonOf = ({ why }: ContainerStatus): string => (why === '' || why.startsWith('it ended with exit code') ? '' : `: ${why}`);

function startingWhy(active: readonly Member[], observed: AppObserved): string {
  for (const one of active) {
    const machine = observed.machines.find((candidate) => candidate.spec.id === one.spec.machineId);
    if (machine !== undefined && machine.spec.wanted !== 'running') return `machine ${machine.spec.name} was ${machine.spec.wanted}`;
    if (machine?.status?.phase === 'unknown') return `machine ${machine.spec.name}: ${machine.status.why}`; // it runs, and its guest is busy
    if (machine?.status?.phase !== 'running') return `machine ${machine?.spec.name ?? one.spec.machineId} starts`;
    if (one.status?.why) return one.status.why;
    if (one.status?.phase === 'running' && one.status.health === 'starting') return 'its health check has not passed yet';
  }
  return 'its containers start';
}
