/** A host in memory that daemons come and go on: its store and volumes are real files, all else pretends. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Instance } from '#base';
import { fakeNetwork, fakeWorld, openFakeEngine, type FakeNetwork, type FakeWorld } from '#machines/fake';
import type { AtPoint } from './daemon-life.ts';
import { fakeEdge, fakeGateway, fakeImages, type FakeEdge, type FakeGateway } from './fake-surroundings.ts';
import { fastClock } from './fast-clock.ts';
import { startDaemon, type DaemonSurroundings, type SimulatedDaemon } from './simulated-daemon.ts';

/** Pauses and limits of minutes become seconds; what a fake guest does in 5 ms takes a tenth of a second of it. */
const pace = 20;

export interface SimulatedHost extends DaemonSurroundings {
  readonly world: FakeWorld;
  readonly network: FakeNetwork;
  readonly gateway: FakeGateway;
  readonly edge: FakeEdge;
  /** Folder of Compose files. */
  readonly workingDir: string;
  /** The daemon that runs, or ran last. */
  readonly daemon: SimulatedDaemon;
  /** Starts one where none lives; waits first until a dead one is gone. */
  start(atPoint?: AtPoint): Promise<SimulatedDaemon>;
  /** Ids of volumes whose disk is there. */
  volumeDisks(): readonly string[];
  close(): Promise<void>;
}

export async function openSimulatedHost(options: { readonly memoryMiB?: number; readonly atPoint?: AtPoint } = {}): Promise<SimulatedHost> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-simulated-'));
  const workingDir = join(folder, 'app');
  mkdirSync(workingDir);
  const instance: Instance = { name: 'sim', stateDir: folder, runDir: join(folder, 'run'), cacheDir: join(folder, 'cache'), subnet: 93 };
  const clock = fastClock(pace);
  const world = fakeWorld({ now: () => clock.now() });
  const around = {
    instance, clock, world, storePath: join(folder, 'strata.db'), engine: openFakeEngine({ world }), network: fakeNetwork(), gateway: fakeGateway(), edge: fakeEdge(), images: fakeImages(),
    memoryMiB: options.memoryMiB ?? 32 * 1024,
  };
  const nothing: AtPoint = () => undefined;
  let daemon = await startDaemon(around, options.atPoint ?? nothing);
  return {
    ...around, workingDir,
    get daemon() { return daemon; },
    async start(atPoint = nothing) {
      if (daemon.life.ended) await daemon.buried();
      daemon = await startDaemon(around, atPoint);
      return daemon;
    },
    volumeDisks: () => readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((path) => /^volumes\/(.+)\.raw$/.exec(path)?.[1] ?? []),
    async close() {
      await daemon.close();
      for (const id of [...world.vmms.keys()]) world.end(id);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
