/**
 * The controller of containers: one key is one container. It looks at the wish, the machine and the
 * guest's word, plans, performs, and writes what it saw. Events of the agent arrive through
 * record-guest-state.ts, not here; they only wake this by changing the status record.
 */
import { asStrataError, type Clock, type Log } from '#base';
import { machineKey, type MachineSpec, type MachineStatus } from '#machines';
import type { Controller, ReconcileResult } from '#reconcile';
import type { Records } from '#store';
import { containerStatusSchema, mayRun, volumesWritten, type ContainerSpec, type ContainerStatus } from './container.ts';
import type { GuestSession, GuestSessions } from './guest-sessions.ts';
import { performContainerOperation, type ContainerPerformer } from './perform-container-plan.ts';
import { planContainer, type ContainerObserved } from './plan-container.ts';
import type { StatusRecorder } from './record-guest-state.ts';

export interface ContainerControllerDeps {
  readonly containers: Records<ContainerSpec>;
  readonly statuses: Records<ContainerStatus>;
  readonly machineSpecs: Records<MachineSpec>;
  readonly machineStatuses: Records<MachineStatus>;
  readonly sessions: GuestSessions;
  readonly performer: ContainerPerformer;
  readonly recorder: StatusRecorder;
  readonly clock: Clock;
  readonly log: Log;
}

export function containersController(deps: ContainerControllerDeps): Controller {
  return {
    name: 'containers',
    watches: [
      { prefix: 'container/', keysOf: (key) => [key.slice('container/'.length)] },
      // One that has ended makes room for who waits to write to its volumes.
      { prefix: 'container-status/', keysOf: (key, value) => idsOfOtherWriters(deps, key.slice('container-status/'.length), value) },
      // A machine that came up or went concerns all its containers.
      { prefix: 'machine-status/', keysOf: async (key) => idsOnMachine(deps, key.slice('machine-status/'.length)) },
    ],
    allKeys: async () => [...new Set([...(await deps.containers.list()).map((one) => one.value.id), ...(await deps.statuses.list()).map((one) => one.value.id)])],
    reconcile: (id, signal) => reconcileContainer(deps, id, signal),
  };
}

async function idsOnMachine(deps: ContainerControllerDeps, machineId: string): Promise<string[]> {
  const specs = (await deps.containers.list()).filter((one) => one.value.machineId === machineId).map((one) => one.value.id);
  const statuses = (await deps.statuses.list()).filter((one) => one.value.machineId === machineId).map((one) => one.value.id);
  return [...new Set([...specs, ...statuses])];
}

/** @param value the status as it is now; undefined where it was forgotten, and then its volumes are not known any more. */
async function idsOfOtherWriters(deps: ContainerControllerDeps, id: string, value: unknown): Promise<string[]> {
  const seen = containerStatusSchema.safeParse(value).data;
  if (seen !== undefined && (seen.writes.length === 0 || mayRun(seen))) return [];
  const others = (await deps.containers.list()).map((one) => one.value).filter((one) => one.id !== id);
  return others.filter((one) => volumesWritten(one).some((volume) => seen === undefined || seen.writes.includes(volume))).map((one) => one.id);
}

/** Those that write to a volume of this one, or may do so still: a wish that is gone is not the end of what it was for. */
async function writersBeside(deps: ContainerControllerDeps, spec: ContainerSpec | undefined): Promise<NonNullable<ContainerObserved['writersBeside']>> {
  const own = spec === undefined ? [] : volumesWritten(spec);
  if (own.length === 0) return [];
  const [statuses, specs] = [await deps.statuses.list(), new Map((await deps.containers.list()).map((one) => [one.value.id, one.value.name]))];
  const others = statuses.map((one) => one.value).filter((one) => one.id !== spec?.id && one.writes.some((volume) => own.includes(volume)));
  return others.filter((one) => !specs.has(one.id) || mayRun(one)).map(({ id }) => ({ id, name: specs.get(id) }));
}

async function reconcileContainer(deps: ContainerControllerDeps, id: string, signal: AbortSignal): Promise<ReconcileResult> {
  const spec = (await deps.containers.get(id))?.value;
  const status = (await deps.statuses.get(id))?.value;
  const machineId = spec?.machineId ?? status?.machineId;
  if (machineId === undefined) return {};
  const { observed: seen, session } = await observe(deps, id, machineId);
  const observed = { ...seen, writersBeside: await writersBeside(deps, spec) };
  const plan = planContainer(id, spec, status, observed);
  if (plan.operations.length === 0) await noteWaiting(deps, id, spec, status, observed, plan.waitingOn[0]?.why, session);
  for (const operation of plan.operations) {
    signal.throwIfAborted();
    const startsInstead = async (why: string) => { if (spec !== undefined) await deps.recorder.startsInstead(spec, why); };
    await carryOut(deps, operation, { id, machineId, spec, session, startsInstead }, observed);
  }
  if (session !== undefined && spec !== undefined && plan.operations.length > 0) {
    const state = session.state(id);
    if (state !== undefined) await deps.recorder.record(spec, session.guestBootId, state);
  }
  return { waitingOn: plan.waitingOn, ...(observed.guest === 'unreachable' && observed.machine?.phase === 'running' ? { againAfterMs: 1000 } : {}) };
}

async function carryOut(deps: ContainerControllerDeps, operation: Parameters<typeof performContainerOperation>[1], context: Parameters<typeof performContainerOperation>[2], observed: ContainerObserved): Promise<void> {
  if (operation.kind === 'container.forget') return deps.recorder.forget(context.id);
  if ((operation.kind === 'container.start' || operation.kind === 'container.goOn') && context.spec !== undefined) await deps.recorder.starting(context.spec, observed.machine?.guestBootId ?? '');
  if (operation.kind === 'container.start' && operation.insteadOfClone !== undefined) await context.startsInstead(operation.insteadOfClone);
  await perform(deps, operation, context);
}

async function perform(deps: ContainerControllerDeps, operation: Parameters<typeof performContainerOperation>[1], context: Parameters<typeof performContainerOperation>[2]): Promise<void> {
  try {
    await performContainerOperation(deps.performer, operation, context);
  } catch (thrown) {
    const error = asStrataError(thrown, operation.summary);
    if (context.spec !== undefined) await deps.recorder.failed(context.spec, error.message);
    throw error;
  }
}

async function observe(deps: ContainerControllerDeps, id: string, machineId: string): Promise<{ observed: ContainerObserved; session: GuestSession | undefined }> {
  const machine = (await deps.machineStatuses.get(machineId))?.value;
  const wished = await deps.machineSpecs.get(machineId);
  if (machine === undefined || machine.phase !== 'running' || machine.guest === null) {
    const phase = machine?.phase ?? (wished === undefined ? undefined : 'defined');
    return { observed: { machine: phase === undefined ? undefined : { phase, why: machine?.why ?? '', guestBootId: null }, guest: 'unreachable' }, session: undefined };
  }
  const seen = { phase: machine.phase, why: machine.why, guestBootId: machine.guest.bootId, startedWhy: machine.startedBy?.why ?? '' };
  try {
    const session = await deps.sessions.ensure(machineId, machine.guest.bootId);
    const strays = wished?.value.from === undefined ? [] : await straysIn(deps, session, machineId);
    return { observed: { machine: seen, guest: session.state(id) ?? 'absent', strays }, session };
  } catch (thrown) {
    deps.log.debug({ machineId, key: machineKey(machineId), error: asStrataError(thrown, 'agent').message }, 'no line to the guest');
    return { observed: { machine: seen, guest: 'unreachable' }, session: undefined };
  }
}

/** What the guest has and was never given here: it came with the memory of another machine. */
async function straysIn(deps: ContainerControllerDeps, session: GuestSession, machineId: string): Promise<readonly string[]> {
  const own = new Set(await idsOnMachine(deps, machineId));
  return session.states().map((state) => state.id).filter((one) => !own.has(one));
}

/** With nothing to do, the status still has to tell the truth: what the guest says, or why nothing is known. */
async function noteWaiting(deps: ContainerControllerDeps, id: string, spec: ContainerSpec | undefined, status: ContainerStatus | undefined, observed: ContainerObserved, why: string | undefined, session: GuestSession | undefined): Promise<void> {
  if (spec === undefined) return;
  const state = session?.state(id);
  if (session !== undefined && state !== undefined) return deps.recorder.record(spec, session.guestBootId, state);
  const lost = status !== undefined && ['running', 'starting', 'waiting', 'stopping', 'unknown'].includes(status.phase);
  const machineGone = observed.machine === undefined || ['stopped', 'failed', 'defined', 'starting'].includes(observed.machine.phase);
  // Wished stopped, it needs nothing; but what ran before its machine ended runs no more, also where the machine is back.
  if (spec.wanted === 'stopped' && lost && (session !== undefined || machineGone)) return deps.recorder.ended(spec);
  if (why === undefined) return;
  if (status === undefined || (lost && machineGone)) await deps.recorder.pending(spec, why);
  else if (lost) await deps.recorder.unknown(spec, why);
}
