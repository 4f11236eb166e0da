/**
 * Stop, start and restart of an app's services without changing what the app is: only the wish of each
 * container changes, and the containers controller carries it out.
 */
import { StrataError, waitUntil, type Clock } from '#base';
import type { Containers, ContainerSpec, ContainerStatus } from '#containers';
import type { MachineSpec } from '#machines';
import type { Addresses } from '#pool';
import type { Records } from '#store';
import type { AppRecord } from './app-record.ts';
import type { Steps } from './await-services.ts';
import { crashLoopRestarts } from './service-state.ts';

export interface ChangeDeps {
  readonly containers: Containers;
  readonly machineSpecs: Records<MachineSpec>;
  readonly addresses: Addresses;
  readonly clock: Clock;
}

export interface ChangeRequest {
  readonly app: AppRecord;
  /** Empty: all. */
  readonly services: readonly string[];
  readonly signal: AbortSignal;
}

const startLimitMs = 120_000;

/** @throws StrataError `service.notFound` */
export function checkServices(app: AppRecord, services: readonly string[]): void {
  const known = app.spec.services.map((one) => one.name);
  const unknown = services.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new StrataError(`the app ${app.name} has no service ${unknown}`, { code: 'service.notFound', kind: 'notFound', advice: `it has: ${known.join(', ')}` });
}

/** Stops each container with its own signal and grace and waits until it has ended. */
export async function stopContainers(deps: ChangeDeps, request: ChangeRequest, steps: Steps): Promise<void> {
  const members = await membersOf(deps, request.app.id, request.services);
  await Promise.all(members.map((spec) => steps.step(`stop ${spec.name}`, async () => {
    await wish(deps, spec.id, 'stopped');
    await awaitStatus(deps, spec, ({ phase }) => !['running', 'stopping', 'starting', 'waiting'].includes(phase), spec.guest.stopGraceMs + 60_000, request.signal);
  })));
}

/** Makes stopped containers run again, where they were; a machine of theirs that was stopped, suspended or paused by hand goes on first. */
export async function startContainers(deps: ChangeDeps, request: ChangeRequest, steps: Steps): Promise<void> {
  const members = await membersOf(deps, request.app.id, request.services);
  const woken = await wakeMachines(deps, members);
  await Promise.all(members.filter((spec) => spec.wanted === 'stopped' || woken.has(spec.machineId)).map((spec) => steps.step(`start ${spec.name}`, async () => {
    const before = await startOf(deps, spec);
    await wish(deps, spec.id, 'running');
    await awaitRun(deps, spec, before, request.signal);
  })));
}

/** One replica of a service at a time, so that the others go on serving. */
export async function restartContainers(deps: ChangeDeps, request: ChangeRequest, steps: Steps): Promise<void> {
  const members = await membersOf(deps, request.app.id, request.services);
  await wakeMachines(deps, members);
  const services = Map.groupBy(members, (spec) => spec.service);
  await Promise.all([...services.values()].map(async (replicas) => {
    for (const spec of replicas) {
      request.signal.throwIfAborted();
      await steps.step(`restart ${spec.name}`, async () => {
        const before = await startOf(deps, spec);
        if (spec.wanted === 'stopped') await wish(deps, spec.id, 'running');
        else await deps.containers.restart(spec.id);
        await awaitRun(deps, spec, before, request.signal);
      });
    }
  }));
}

/**
 * For `up`: stopped containers and their machines run again, and what ended badly begins anew as a fresh container.
 * @returns whether there were any
 */
export async function reviveContainers(deps: ChangeDeps, appId: string, services: ReadonlySet<string>): Promise<boolean> {
  const members = await membersOf(deps, appId, [...services]);
  let revived = (await wakeMachines(deps, members)).size > 0;
  for (const spec of members) {
    const status = (await deps.containers.statuses.get(spec.id))?.value;
    const ended = status?.phase === 'exited' && status.exitCode !== 0 && !status.stopped;
    const crashes = status?.phase === 'waiting' && status.restarts >= crashLoopRestarts;
    const failed = spec.wanted === 'running' && (ended || crashes);
    if (failed) {
      await deps.addresses.release(`container/${spec.id}`, [{ delete: deps.containers.specs.key(spec.id) }]);
    } else if (spec.wanted === 'stopped') await wish(deps, spec.id, 'running');
    else continue;
    revived = true;
  }
  return revived;
}

/**
 * Ends an app's containers with another grace than their own: out of the balancers first, then the signal, then
 * the kill after `graceMs`. What cannot be reached ends with its machine.
 */
export async function endContainers(deps: ChangeDeps & { syncTraffic(): Promise<void> }, appId: string, graceMs: number): Promise<void> {
  const members = await membersOf(deps, appId, []);
  const since = deps.clock.now();
  for (const { id } of members) await deps.containers.specs.update(id, (spec) => (spec === undefined || spec.draining ? spec : { ...spec, draining: true, drainingSince: since, generation: spec.generation + 1 }));
  await deps.syncTraffic();
  await Promise.allSettled(members.map(async ({ id }) => (await deps.containers.connection(id)).call('containerStop', { id, graceMs }, { timeoutMs: graceMs + 30_000 })));
}

/** A person may have stopped the machines below an app; whoever wants its services wants them to run. @returns those that did not */
async function wakeMachines(deps: ChangeDeps, members: readonly ContainerSpec[]): Promise<ReadonlySet<string>> {
  const woken = new Set<string>();
  for (const id of new Set(members.map((spec) => spec.machineId))) {
    await deps.machineSpecs.update(id, (spec) => {
      if (spec === undefined || spec.wanted === 'running') return spec;
      woken.add(id);
      return { ...spec, wanted: 'running', generation: spec.generation + 1 };
    });
  }
  return woken;
}

async function membersOf(deps: ChangeDeps, appId: string, services: readonly string[]): Promise<readonly ContainerSpec[]> {
  const all = (await deps.containers.specs.list()).map((one) => one.value);
  return all.filter((one) => one.appId === appId && !one.draining && (services.length === 0 || services.includes(one.service))).sort((a, b) => a.index - b.index);
}

async function wish(deps: ChangeDeps, id: string, wanted: 'running' | 'stopped'): Promise<void> {
  await deps.containers.specs.update(id, (spec) => (spec === undefined || spec.wanted === wanted ? spec : { ...spec, wanted, generation: spec.generation + 1 }));
}

async function startOf(deps: ChangeDeps, spec: ContainerSpec): Promise<number | null> {
  return (await deps.containers.statuses.get(spec.id))?.value.startedAt ?? null;
}

/** A job may have done its work before anybody sees it run: an end of another run than the one before will do. */
async function awaitRun(deps: ChangeDeps, spec: ContainerSpec, before: number | null, signal: AbortSignal): Promise<void> {
  await awaitStatus(deps, spec, ({ phase, startedAt, stopped }) => phase === 'running' || (phase === 'exited' && !stopped && startedAt !== before), startLimitMs, signal);
}

async function awaitStatus(deps: ChangeDeps, spec: ContainerSpec, reached: (status: ContainerStatus) => boolean, limitMs: number, signal: AbortSignal): Promise<void> {
  const look = async () => {
    const status = (await deps.containers.statuses.get(spec.id))?.value;
    return status === undefined || reached(status);
  };
  await waitUntil(look, { what: `container ${spec.name} is as wished`, limitMs, everyMs: 100, clock: deps.clock, signal });
}
