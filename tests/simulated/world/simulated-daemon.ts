/** One daemon of a story: every layer opened and joined as src/bin/open-daemon.ts does, on drivers that pretend. */
import { architectures, silentLog, systemDice, watchFailpoints, StrataError, type Clock, type Dice, type Instance } from '#base';
import { openContainers, type Images } from '#containers';
import { openMachines, type Engine } from '#machines';
import type { FakeWorld } from '#machines/fake';
import { openAddresses, openPorts, type HostNetwork, type PlacementRequest, type PoolHost } from '#pool';
import { openUserOperations, runControllers } from '#reconcile';
import { openServices, type Edge, type Gateway, type MachineWish } from '#services';
import { openSqliteStore } from '#store/sqlite';
import type { Backend } from '../../../src/api/backend.ts';
import type { Layers } from '../../../src/api/layers/layers.ts';
import { openBackend, operationReruns } from '../../../src/api/layers/open-backend.ts';
import { daemonLife, mortalEngine, mortalStore, type AtPoint, type DaemonLife } from './daemon-life.ts';
import type { NotedGenerations } from './note-generations.ts';
import { simulatedPool } from './simulated-pool.ts';

export interface DaemonSurroundings {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly storePath: string;
  readonly generations: NotedGenerations;
  readonly world: FakeWorld;
  readonly engine: Engine;
  readonly network: HostNetwork;
  readonly gateway: Gateway;
  readonly edge: Edge;
  readonly images: Images;
  readonly memoryMiB: number;
}

export interface SimulatedDaemon {
  readonly backend: Backend;
  readonly layers: Layers;
  readonly life: DaemonLife;
  readonly quiet: boolean;
  /** Lets everything end in order, as SIGTERM does; where its life has ended, waits until it is gone altogether. */
  close(): Promise<void>;
}

const hostsPort = 8000;

export function startDaemon(around: DaemonSurroundings, atPoint: AtPoint): Promise<SimulatedDaemon> {
  const life = daemonLife(atPoint);
  // A crash point only tells whom it stands for; whether the daemon goes on is decided by its life.
  return watchFailpoints((name) => life.pass(name), () => openAll(around, life));
}

async function openAll(around: DaemonSurroundings, life: DaemonLife): Promise<SimulatedDaemon> {
  const { instance, clock, world } = around;
  const dice: Dice = systemDice;
  const log = silentLog;
  await using closing = new AsyncDisposableStack();
  const file = await openSqliteStore({ path: around.storePath });
  closing.defer(() => file.close());
  const store = mortalStore(life, around.generations.noted(file));
  const network = life.mortal('network', around.network);
  const machines = openMachines({
    instance, store, network, engines: [mortalEngine(life, around.engine)], clock, dice, log,
    host: { bootId: () => world.bootId, endProcess: async (identity) => { life.pass('host.endProcess.before'); return world.endProcess(identity); } },
  });
  closing.defer(() => machines.stop());
  const host: PoolHost = simulatedPool({ store, memoryMiB: around.memoryMiB, proofs: () => machines.knownProofs(), promised: () => machines.promised() });
  const addresses = openAddresses(store, instance);
  const ports = openPorts(store, async () => true);
  const images = { ...around.images, pull: life.mortal('images', around.images).pull };
  const containers = openContainers({ instance, store, machines: machines.machines, images, clock, log });
  closing.defer(() => containers.close());
  const services = openServices({
    instance, store, containers, images, copies: machines.copies, addresses, ports, network, gateway: life.mortal('gateway', around.gateway), edge: life.mortal('edge', around.edge), hostsPort, clock, dice, log,
    upstreamDns: [], host: { processors: 2, maxDisks: { qemu: 255, uml: 15 } },
    engineOffers: async () => architectures.map((architecture) => ({ engine: 'qemu' as const, architecture, isolation: 'emulated' as const, maxProcessors: 64, maxDisks: 255, cost: null, broken: '' })),
    prepareGuest: async () => undefined,
    checkMachines: (wishes) => host.checkSizes(wishes.map(placementOf)),
    async admitMachines(wishes) {
      if (wishes.length === 0) return;
      await machines.proofs();
      await host.admitAll(wishes.map(placementOf));
    },
  });
  await services.sweep();
  let layers: Layers | undefined;
  const operations = openUserOperations({ store, clock, dice, log, reruns: operationReruns(() => {
    if (layers === undefined) throw new StrataError('the daemon is not ready', { code: 'daemon.starting', kind: 'unavailable' });
    return layers;
  }) });
  layers = { instance, version: '0.0.0', startedAt: clock.now(), store, clock, dice, log, host, addresses, machines, images, containers, services, operations, hostsPort, readiness: () => ({ ready: true, checks: [] }) };
  const controllers = runControllers({ controllers: [machines.controller, containers.controller, ...services.controllers], store, clock, dice, log });
  // Programs that are really run (mkfs) keep no accelerated time.
  closing.defer(() => controllers.stop(600_000));
  closing.defer(() => operations.stop());
  await operations.recover();
  const all = closing.move();
  return {
    backend: inside(openBackend(layers), life), layers, life,
    get quiet() { return controllers.quiet; },
    close: () => all.disposeAsync(),
  };
}

function placementOf(machine: MachineWish): PlacementRequest {
  return { architecture: machine.architecture, processors: machine.processors, memoryMiB: machine.memoryMiB, diskBytes: 2 ** 30, engine: machine.engine };
}

/** What is asked of the backend from outside runs as part of this daemon, so that its crash points are this daemon's. */
function inside(backend: Backend, life: DaemonLife): Backend {
  const wrap = <T extends object>(thing: T): T => new Proxy(thing, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value === 'object' && value !== null) return wrap(value);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => watchFailpoints((name) => life.pass(name), () => Reflect.apply(value, target, args) as unknown);
    },
  });
  return wrap(backend);
}
