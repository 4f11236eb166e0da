/**
 * Opens the containers layer: its controller, and what upper layers may ask of a single container (its
 * line to the guest, logs, restart, statistics). Wishes go through the store.
 */
import { asStrataError, failpoint, StrataError, type Clock, type Instance, type Log } from '#base';
import type { AgentCalls, GuestContainerState } from '#guest-protocol';
import { machineSpecSchema, machineStatusSchema, type AgentConnection, type AgentStream, type FormatDisk, type Machines } from '#machines';
import type { Controller } from '#reconcile';
import { recordsOf, type Records, type Store } from '#store';
import { containerSpecSchema, containerStatusSchema, type ContainerSpec, type ContainerStatus } from './container.ts';
import { openGuestSessions, type GuestSession } from './guest-sessions.ts';
import type { Images } from './images/image.ts';
import { machineTurns } from './machine-turns.ts';
import { statusRecorder } from './record-guest-state.ts';
import { containersController } from './reconcile-containers.ts';
import { imageSerial, volumeSchema, type Volume } from './volume.ts';

export interface ContainersDeps {
  readonly instance: Instance;
  readonly store: Store;
  readonly machines: Machines;
  readonly images: Images;
  readonly clock: Clock;
  readonly log: Log;
  /** Stand-in for worlds in memory: no guest there mounts a volume. */
  readonly formatDisk?: FormatDisk;
}

export interface Containers {
  readonly controller: Controller;
  readonly specs: Records<ContainerSpec>;
  readonly statuses: Records<ContainerStatus>;
  readonly volumes: Records<Volume>;
  /** The line to the guest that carries the container. @throws StrataError `container.notFound`, `container.notRunning` */
  connection(id: string): Promise<AgentConnection>;
  logs(id: string, options: { readonly follow: boolean; readonly tail?: number; readonly sinceMs?: number }): Promise<AgentStream>;
  /** Stops it with its own signal and grace, then starts it again. */
  restart(id: string): Promise<void>;
  /** Nothing of it runs while `work` does; at most for the limit, also where this daemon dies. */
  whileFrozen(id: string, limitMs: number, work: () => Promise<void>): Promise<void>;
  stats(id: string): Promise<AgentCalls['containerStats']['result']>;
  close(): void;
}

const reconnectMs = 500;

export function openContainers(deps: ContainersDeps): Containers {
  const specs = recordsOf(deps.store, 'container', containerSpecSchema);
  const statuses = recordsOf(deps.store, 'container-status', containerStatusSchema);
  const volumes = recordsOf(deps.store, 'volume', volumeSchema);
  const machineSpecs = recordsOf(deps.store, 'machine', machineSpecSchema);
  const machineStatuses = recordsOf(deps.store, 'machine-status', machineStatusSchema);
  const recorder = statusRecorder(statuses);
  const timers = new Set<NodeJS.Timeout>();
  let closed = false;

  const failed = (machineId: string, doing: string) => (thrown: unknown) => { deps.log.warn({ machineId, error: asStrataError(thrown, doing).message }, doing); };

  /** A guest may speak of the containers it was given, and of no other: it could name one of another machine, or invent some. */
  async function believe(machineId: string, guestBootId: string, state: GuestContainerState | undefined): Promise<void> {
    const spec = state === undefined ? undefined : (await specs.get(state.id))?.value;
    if (state !== undefined && spec?.machineId === machineId) await recorder.record(spec, guestBootId, state);
  }

  /** What is to be recorded next, by container. */
  const told = new Map<string, () => Promise<void>>();
  /** Of what a guest tells faster than it can be written only the last is kept. */
  async function recordLast(machineId: string, guestBootId: string, state: GuestContainerState): Promise<void> {
    const key = `${machineId}/${state.id}`;
    const isRecording = told.has(key);
    told.set(key, () => believe(machineId, guestBootId, state).catch(failed(machineId, 'recording the state of a container')));
    if (isRecording) return;
    for (let next = told.get(key), done; next !== done; next = told.get(key)) { done = next; await next?.(); }
    told.delete(key);
  }

  /** The line was lost while the machine may well run on: open it again and believe only what the agent then says. */
  function reconnect(machineId: string): void {
    if (closed) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      void (async () => {
        const machine = (await machineStatuses.get(machineId))?.value;
        if (machine?.phase !== 'running' || machine.guest === null) return;
        const session = await sessions.ensure(machineId, machine.guest.bootId);
        await Promise.all(session.states().map((state) => believe(machineId, session.guestBootId, state)));
      })().catch((thrown: unknown) => { failed(machineId, 'opening the line to the guest again')(thrown); reconnect(machineId); });
    }, reconnectMs);
    timer.unref();
    timers.add(timer);
  }

  const sessions = openGuestSessions({
    machines: deps.machines, log: deps.log,
    listener: {
      changed: (machineId, guestBootId, state) => { void recordLast(machineId, guestBootId, state); },
      lost: reconnect,
    },
  });

  async function serialsInUse(machineId: string, except: string): Promise<ReadonlySet<string>> {
    const others = (await specs.list()).map((one) => one.value).filter((one) => one.machineId === machineId && one.id !== except);
    return new Set(others.flatMap((one) => [imageSerial(one.image.digest), ...one.volumeIds]));
  }

  async function volumeBytes(id: string): Promise<number> {
    const volume = (await volumes.get(id))?.value;
    if (volume === undefined) throw new StrataError(`volume ${id} has no record`, { code: 'container.volumeMissing', kind: 'unavailable', advice: 'run `strata up` again: it makes the volume' });
    return volume.sizeBytes;
  }

  async function sessionOf(id: string): Promise<{ session: GuestSession; spec: ContainerSpec }> {
    const spec = (await specs.get(id))?.value;
    if (spec === undefined) throw new StrataError(`there is no container ${id}`, { code: 'container.notFound', kind: 'notFound' });
    const machine = (await machineStatuses.get(spec.machineId))?.value;
    if (machine?.phase !== 'running' || machine.guest === null) {
      throw new StrataError(`container ${spec.name} cannot be reached: its machine is ${machine?.phase ?? 'not there'}`, { code: 'container.notRunning', kind: 'unavailable', advice: machine?.phase === 'paused' ? 'let it go on with `strata machine resume`' : 'see `strata ps` and `strata machine ls`' });
    }
    return { session: await sessions.ensure(spec.machineId, machine.guest.bootId), spec };
  }

  return {
    specs, statuses, volumes,
    controller: containersController({
      containers: specs, statuses, machineSpecs, machineStatuses, sessions, recorder, clock: deps.clock, log: deps.log,
      performer: { instance: deps.instance, machines: deps.machines, images: deps.images, turns: machineTurns(), clock: deps.clock, volumes, volumeBytes, formatDisk: deps.formatDisk, serialsInUse },
    }),
    connection: async (id) => (await sessionOf(id)).session.connection,
    async logs(id, options) {
      const { session } = await sessionOf(id);
      const stream = session.connection.openStream();
      await session.connection.call('containerLogs', { id, stream: stream.id, follow: options.follow, ...(options.tail === undefined ? {} : { tail: options.tail }), ...(options.sinceMs === undefined ? {} : { sinceMs: options.sinceMs }) });
      return stream;
    },
    async restart(id) {
      const { session, spec } = await sessionOf(id);
      await recorder.whileRestarting(id, async () => {
        await session.change('containerStop', { id }, { timeoutMs: spec.guest.stopGraceMs + 30_000 });
        failpoint('container.restart.stopped');
        await session.change('containerStart', { spec: spec.guest }, { timeoutMs: 120_000 });
      });
      await believe(spec.machineId, session.guestBootId, session.state(id));
    },
    async whileFrozen(id, limitMs, work) {
      const { session, spec } = await sessionOf(id);
      await session.connection.call('containerFreeze', { id, limitMs });
      try { await work(); } finally {
        await session.connection.call('containerFreeze', { id, limitMs: 0 }).catch(failed(spec.machineId, 'letting a container go on'));
      }
    },
    async stats(id) {
      const { session } = await sessionOf(id);
      return session.connection.call('containerStats', { id });
    },
    close() {
      closed = true;
      for (const timer of timers) clearTimeout(timer);
      sessions.close();
    },
  };
}
