/** A host in memory that daemons come and go on: its store and volumes are real files, all else pretends. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Instance } from '#base';
import type { Engine } from '#machines';
import { fakeNetwork, fakeWorld, openFakeEngine, type FakeNetwork, type FakeWorld } from '#machines/fake';
import type { AtPoint } from './daemon-life.ts';
import { fakeEdge, fakeGateway, fakeImages, type FakeEdge, type FakeGateway } from './fake-surroundings.ts';
import { fastClock } from './fast-clock.ts';
import { noteGenerations } from './note-generations.ts';
import { startDaemon, type DaemonSurroundings, type SimulatedDaemon } from './simulated-daemon.ts';

/** Pauses and limits of minutes become seconds; what a fake guest does in 5 ms takes a tenth of a second of it. */
const pace = 20;

/** What a loss of power does to the store is tested there; here its waiting for disks would only take time. */
const memoryFolder = '/dev/shm';

export interface SimulatedHost extends DaemonSurroundings {
  readonly world: FakeWorld;
  readonly network: FakeNetwork;
  readonly gateway: FakeGateway;
  readonly edge: FakeEdge;
  /** Folder of Compose files. */
  readonly workingDir: string;
  /** The daemon that runs, or ran last. */
  readonly daemon: SimulatedDaemon;
  /** A later daemon; the one before ends first, and where it is dead already is waited for. One that dies while it starts is followed by the next. */
  start(): Promise<SimulatedDaemon>;
  /** From now on every place that a daemon comes to is told. */
  watch(atPoint: AtPoint): void;
  /** Ids of volumes whose disk is there. */
  volumeDisks(): readonly string[];
  close(): Promise<void>;
}

export interface SimulatedHostOptions {
  readonly memoryMiB?: number;
  /** What has the machines in memory, where it is more than that. */
  readonly engineOn?: (fake: Engine, host: { readonly instance: Instance; readonly clock: Clock }) => Engine;
}

export async function openSimulatedHost(options: SimulatedHostOptions = {}): Promise<SimulatedHost> {
  const folder = mkdtempSync(join(existsSync(memoryFolder) ? memoryFolder : tmpdir(), 'strata-simulated-'));
  const workingDir = join(folder, 'app');
  mkdirSync(workingDir);
  const instance: Instance = { name: 'sim', stateDir: folder, runDir: join(folder, 'run'), cacheDir: join(folder, 'cache'), subnet: 93 };
  const clock = fastClock(pace);
  const world = fakeWorld({ now: () => clock.now() });
  const network = fakeNetwork();
  const fake = openFakeEngine({ world, as: 'qemu', network });
  const around = {
    instance, clock, world, storePath: join(folder, 'strata.db'), generations: noteGenerations(), engine: options.engineOn?.(fake, { instance, clock }) ?? fake, network, gateway: fakeGateway(), edge: fakeEdge(), images: fakeImages(),
    memoryMiB: options.memoryMiB ?? 32 * 1024,
  };
  let watched: AtPoint = () => undefined;
  const start = () => startDaemon(around, (name, life) => watched(name, life));
  let daemon = await start();
  return {
    ...around, workingDir,
    get daemon() { return daemon; },
    watch(atPoint) { watched = atPoint; },
    async start() {
      await daemon.close();
      for (let attempt = 1; ; attempt += 1) {
        try {
          daemon = await start();
          return daemon;
        } catch (thrown) {
          if (attempt === 5) throw thrown;
        }
      }
    },
    volumeDisks: () => readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((path) => /^volumes\/(.+)\.raw$/.exec(path)?.[1] ?? []),
    async close() {
      await daemon.close();
      for (const id of [...world.vmms.keys()]) world.end(id);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
