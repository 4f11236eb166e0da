/** One daemon of a story: the layers joined as in the real one, on drivers that pretend and that its death cuts off. */
import { silentLog, systemDice, watchFailpoints, type Clock, type Instance } from '#base';
import { openBackend, type Backend, type Layers } from '#api';
import { connectLayers } from '#bin/layers';
import type { Images } from '#containers';
import type { Engine } from '#machines';
import type { FakeWorld } from '#machines/fake';
import type { HostNetwork, LookAtHost } from '#pool';
import type { Edge, Gateway } from '#services';
import { openSqliteStore } from '#store/sqlite';
import { sampleHost } from '../../../src/pool/testing/sample-host.ts';
import { daemonLife, mortalEngine, mortalStore, type AtPoint, type DaemonLife } from './daemon-life.ts';
import type { NotedGenerations } from './note-generations.ts';

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
  /** Of the host, whatever this one has. */
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

export function startDaemon(around: DaemonSurroundings, atPoint: AtPoint): Promise<SimulatedDaemon> {
  const life = daemonLife(atPoint);
  // A crash point only tells whom it stands for; whether the daemon goes on is decided by its life.
  return watchFailpoints((name) => life.pass(name), () => openAll(around, life));
}

async function openAll(around: DaemonSurroundings, life: DaemonLife): Promise<SimulatedDaemon> {
  const { instance, clock, world } = around;
  await using closing = new AsyncDisposableStack();
  const file = await openSqliteStore({ path: around.storePath });
  closing.defer(() => file.close());
  const { layers, controllers } = await connectLayers({
    instance, version: '0.0.0', clock, dice: systemDice, log: silentLog, store: mortalStore(life, around.generations.noted(file)),
    network: life.mortal('network', around.network), engines: [mortalEngine(life, around.engine)], backends: undefined,
    guestOs: { built: async () => undefined, ensure: async () => undefined },
    images: { ...around.images, pull: life.mortal('images', around.images).pull },
    gateway: life.mortal('gateway', around.gateway), edge: life.mortal('edge', around.edge), upstreamDns: [], processors: 2,
    standIn: {
      look: lookAt(around.memoryMiB), portIsFree: async () => true, bootId: () => world.bootId,
      async endProcess(identity) {
        life.pass('host.endProcess.before');
        return world.endProcess(identity);
      },
      // A volume's disk is a real file; what is in it nobody reads, and making it would be a fifth of the stories' time.
      formatDisk: async () => undefined,
      // Programs that are really run keep no accelerated time.
      endLimitMs: 600_000,
    },
  }, closing);
  const all = closing.move();
  return {
    backend: inside(openBackend(layers), life), layers, life,
    get quiet() { return controllers.quiet; },
    close: () => all.disposeAsync(),
  };
}

/** At a host of that size. */
function lookAt(memoryMiB: number): LookAtHost {
  return async ({ id, state, proofs, promised }) => sampleHost(id, { state, memory: { totalMiB: memoryMiB, availableMiB: memoryMiB }, proofs: [...proofs], promised });
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
