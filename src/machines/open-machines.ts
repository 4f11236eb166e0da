/** Opens the machines layer: its controller, its records, and what upper layers may do with a running machine. */
import { signalProcess, StrataError, type Architecture, type Clock, type Dice, type Instance, type Log, type ProcessIdentity } from '#base';
import type { HostNetwork, Promised } from '#pool';
import { openGenerationGuard, type Controller } from '#reconcile';
import type { Records, Store } from '#store';
import type { DiskBackends } from './backends/disk-backend.ts';
import { openBackends, type Backends } from './backends/open-backends.ts';
import { chooseEngine, engineRefusal, type EngineAsk } from './choose-engine.ts';
import type { Engine, EngineCapabilities, PooledShapeView } from './engine.ts';
import type { EngineFigures } from './figures/engine-figures.ts';
import { giveWay } from './figures/give-way.ts';
import { keepFigures } from './figures/keep-figures.ts';
import { keepProofs, type EngineProof } from './keep-proofs.ts';
import { proofsInFolder, proofsInStore } from './proof-records.ts';
import { keepsMemory, type EngineName, type MachineSpec, type MachineStatus } from './machine.ts';
import { machinePolicy, type MachinePolicy } from './machine-policy.ts';
import { removeOwnDisks } from './machine-disks.ts';
import { machineRecorder } from './machine-recorder.ts';
import { isPaused, notRunning, type MachineSession } from './machine-session.ts';
import { openMachineCopies, type OpenedCopies } from './open-machine-copies.ts';
import { machineSessions } from './machine-sessions.ts';
import { machineTurns } from './machine-turns.ts';
import type { Machines } from './machines.ts';
import { machinesController } from './reconcile-machines.ts';

export interface MachinesDeps {
  readonly instance: Instance;
  readonly store: Store;
  /** In the order in which `auto` tries them. */
  readonly engines: readonly Engine[];
  readonly network: HostNetwork;
  /** Serves disks to VMMs; without it machines with such disks are refused. */
  readonly backends?: DiskBackends;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  /** Version of the guest OS that is built for an engine; without it no engine is ever measured. */
  readonly builtGuestOs?: (engine: EngineName, architecture: Architecture) => Promise<string | undefined>;
  /** Of all instances of this host, for what its engines were proved to run; the store where there is none. */
  readonly proofsFolder?: string;
  /** Limits that differ from the usual ones, for tests. */
  readonly policy?: Partial<MachinePolicy>;
  /** Stand-ins of the host for worlds in memory. */
  readonly host?: { bootId(): string; endProcess(identity: ProcessIdentity): Promise<boolean> };
}

export interface OpenedMachines {
  readonly controller: Controller;
  /** With a controller of their own; undefined where this host has none. */
  readonly backends: Backends | undefined;
  readonly machines: Machines;
  readonly specs: Records<MachineSpec>;
  readonly statuses: Records<MachineStatus>;
  /** As Machines.proofs, each with its engine, as the pool wants them. */
  proofs(only?: readonly EngineName[]): Promise<readonly EngineProof[]>;
  /** Those that are known without running a guest. */
  knownProofs(): Promise<readonly EngineProof[]>;
  /** Ends and removes what an earlier daemon left of a measurement; called once, before anything runs. */
  sweep(): Promise<void>;
  /** All that is known of each engine without running a guest. */
  engineFacts(): Promise<readonly EngineFacts[]>;
  /** Takes the figures that are lacking now, one engine after the other; guests run for a minute. */
  measureEngines(): Promise<void>;
  /** Takes them while the host has little to do, until `stop`. */
  measureInBackground(): void;
  /** Sums over the machines wished running or paused, for the pool. */
  promised(): Promise<Promised>;
  /** The pools of all engines. */
  pooled(): readonly PooledShapeView[];
  /** What is kept of a suspended machine: `why` it cannot go on, empty where it can; undefined where nothing is. */
  suspended(machineId: string): Promise<{ readonly why: string } | undefined>;
  readonly copies: OpenedCopies['copies'];
  readonly disks: OpenedCopies['disks'];
  /** What no engine that is asked for could ever run, whatever it is proved to do today. @throws `machine.noEngine` */
  checkEngines(ask: EngineAsk): Promise<void>;
  /** Ends the VMM at once, for `--force`; the controller does what the wish then says. Fine where none runs. */
  kill(machineId: string): Promise<void>;
  /** Lets go of everything; machines run on. Call after the controllers have stopped. */
  stop(): Promise<void>;
}

/** One engine: what it can do, what it was proved to run here, and what it costs a guest. */
export interface EngineFacts {
  readonly capabilities: EngineCapabilities;
  /** Undefined while nobody has looked. */
  readonly proofs: readonly EngineProof[] | undefined;
  readonly figures: readonly EngineFigures[];
}

const defaultAgentWaitMs = 30_000;

export function openMachines(deps: MachinesDeps): OpenedMachines {
  const { store, clock, dice, log } = deps;
  const end = new AbortController();
  const policy: MachinePolicy = { ...machinePolicy, ...deps.policy };
  const engines = new Map<EngineName, Engine>(deps.engines.map((engine) => [engine.name, engine]));
  const recorder = machineRecorder(store);
  const endProcess = deps.host?.endProcess ?? ((identity: ProcessIdentity) => signalProcess(identity, 'SIGKILL'));
  const proofs = keepProofs({ engines: deps.engines, records: deps.proofsFolder === undefined ? proofsInStore(store) : proofsInFolder(deps.proofsFolder), signal: end.signal, hostBootId: deps.host?.bootId });
  const figures = keepFigures({ engines: deps.engines, proofs, store, builtGuestOs: deps.builtGuestOs ?? (() => Promise.resolve(undefined)), giveWay: deps.host === undefined ? giveWay : () => Promise.resolve(), clock, dice, log, signal: end.signal });
  let measuring: Promise<void> | undefined;
  const sessions = machineSessions({ engines, recorder, policy, endProcess, clock, dice, log, foundAgain: (id) => mergeLeft(id), ...(deps.host === undefined ? {} : { hostBootId: deps.host.bootId }) });

  async function choose(spec: MachineSpec) {
    const candidates = await Promise.all(deps.engines.map(async (engine) => ({ capabilities: await engine.capabilities(), proofs: await proofs.known(engine.name) })));
    return chooseEngine(spec, candidates);
  }
  async function running(machineId: string): Promise<MachineSession> {
    const session = sessions.get(machineId);
    if (session !== undefined && session.exit === undefined) return session;
    throw await absence(machineId);
  }
  /** Disks come and go with the guest's consent, which a paused one cannot give. */
  async function movingOn(machineId: string): Promise<MachineSession> {
    const session = await running(machineId);
    if (session.seen().paused) throw isPaused((await recorder.specs.get(machineId))?.value.name ?? machineId);
    return session;
  }
  async function absence(machineId: string): Promise<StrataError> {
    const { spec, status } = await recorder.read(machineId);
    if (spec === undefined && status === undefined) return new StrataError(`there is no machine ${machineId}`, { code: 'machine.notFound', kind: 'notFound', advice: 'see `strata machine ls`' });
    return notRunning(spec?.name ?? machineId, status === undefined ? 'it was not started yet' : status.why === '' ? `it is ${status.phase}` : `it is ${status.phase}, ${status.why}`);
  }
  /** A machine that is being started or found again will have a session soon. */
  async function coming(machineId: string, until: number): Promise<MachineSession> {
    for (;;) {
      const session = sessions.get(machineId);
      if (session !== undefined && session.exit === undefined) return session;
      const { run, spec } = await recorder.read(machineId);
      const soon = run?.live === true || (run === undefined && spec?.wanted === 'running');
      if (!soon || clock.monotonic() >= until || end.signal.aborted) throw await absence(machineId);
      await clock.wait(20, end.signal).catch(() => undefined);
    }
  }

  const backends = deps.backends === undefined ? undefined : openBackends({
    driver: deps.backends, store, recorder, clock, log, killMachine: kill,
    connectsAgain: (name) => engines.get(name)?.connectsAgain === true,
    reachesBackend: async (machineId, serial) => sessions.get(machineId)?.machine.reachesBackend?.(serial),
  });

  async function kill(machineId: string): Promise<void> {
    const session = sessions.get(machineId);
    if (session !== undefined && session.exit === undefined) await session.machine.kill();
  }

  const turns = machineTurns();
  const { copies, disks, mergeLeft, stop: stopMerging } = openMachineCopies({ instance: deps.instance, engines, recorder, sessions, turns, backends, clock, log, choose });
  const controller = machinesController({ engines, network: deps.network, backends, removeDisks: (id) => removeOwnDisks(deps.instance, id), copies, recorder, sessions, guard: openGenerationGuard(store), endProcess, clock, log, policy, choose });
  const machines: Machines = {
    async agent(machineId, options = {}) {
      const until = clock.monotonic() + (options.timeoutMs ?? defaultAgentWaitMs);
      const session = await coming(machineId, until);
      return session.agent(Math.max(0, until - clock.monotonic()));
    },
    async attachDisk(machineId, disk) {
      const session = await movingOn(machineId);
      await session.inTurn(() => session.machine.attachDisk(disk));
    },
    async detachDisk(machineId, serial) {
      const session = await movingOn(machineId);
      await session.inTurn(() => session.machine.detachDisk(serial));
    },
    openConsole: async (machineId) => (await running(machineId)).machine.openConsole(),
    async consoleLog(machineId) {
      const session = sessions.get(machineId); // also of one that has ended: its last words matter most
      if (session !== undefined) return session.machine.consoleLog();
      const { spec, status, run } = await recorder.read(machineId);
      if (spec === undefined && status === undefined) throw await absence(machineId);
      return run === undefined ? Buffer.alloc(0) : engines.get(run.engine)?.consoleLog(machineId) ?? Buffer.alloc(0);
    },
    proofs: () => proofs.all(),
  };

  return {
    machines, specs: recorder.specs, statuses: recorder.statuses, proofs: proofs.all,
    knownProofs: async () => (await Promise.all(deps.engines.map((engine) => proofs.known(engine.name)))).flatMap((known) => known ?? []),
    sweep: figures.sweep,
    async engineFacts() {
      const known = await figures.known();
      return Promise.all(deps.engines.map(async (engine) => ({ capabilities: await engine.capabilities(), proofs: await proofs.known(engine.name), figures: known.filter((one) => one.engine === engine.name) })));
    },
    measureEngines: () => figures.takeLacking(),
    measureInBackground() { measuring ??= figures.takeInBackground(); },
    copies, disks,
    // What is being copied is neither started nor ended meanwhile.
    controller: { ...controller, reconcile: (id, signal) => turns(id, () => controller.reconcile(id, signal)) },
    async promised() {
      const all = (await recorder.specs.list()).map((one) => one.value).filter(keepsMemory);
      const sum = (of: (spec: MachineSpec) => number) => all.reduce((total, spec) => total + of(spec), 0);
      return { machines: all.length, processors: sum((spec) => spec.processors), memoryMiB: sum((spec) => spec.memoryMiB), diskBytes: sum((spec) => (spec.scratchMiB + spec.disks.reduce((total, disk) => total + (disk.sizeMiB ?? 0), 0)) * 1024 ** 2) };
    },
    pooled: () => deps.engines.flatMap((engine) => engine.pooled?.() ?? []),
    async suspended(machineId) {
      const { run } = await recorder.read(machineId);
      return run === undefined ? undefined : engines.get(run.engine)?.suspended?.(run.spec);
    },
    async checkEngines(ask) {
      const choice = chooseEngine(ask, await Promise.all(deps.engines.map(async (engine) => ({ capabilities: await engine.capabilities(), proofs: undefined }))));
      if (choice.chosen === null) throw engineRefusal(ask, choice);
    },
    kill, backends,
    async stop() {
      end.abort();
      await measuring;
      await stopMerging();
      backends?.stop();
      await sessions.close();
    },
  };
}
