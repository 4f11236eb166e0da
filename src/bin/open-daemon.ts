/** Opens this host's drivers, has the layers joined on them, serves the API, and closes all in the opposite order. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { apiSocketPath, removeUnfinishedWrites, systemClock, systemDice, type Instance, type Log } from '#base';
import { answersOn, openApi, openBackend } from '#api';
import { openImages } from '#containers';
import { openStorageDaemon } from '#machines/backends';
import { openHostNetwork } from '#pool';
import { openEdge } from '#services';
import { openHaproxyGateway } from '#services/haproxy';
import { connectLayers, proofsFolder } from './connect-layers.ts';
import { giveBackMemory } from './give-back-memory.ts';
import { limitLogs } from './limit-log.ts';
import { openEngines } from './open-engines.ts';
import { openOwnStore } from './open-own-store.ts';
import { readNameServers } from './read-name-servers.ts';

export interface Daemon { close(): Promise<void> }

export interface DaemonSettings {
  /** Paused machines kept ready, of each shape that was started of late; 0: none. */
  readonly poolSize: number;
}

export async function openDaemon(instance: Instance, log: Log, { poolSize }: DaemonSettings): Promise<Daemon> {
  const clock = systemClock;
  const startedAt = clock.now();
  await using closing = new AsyncDisposableStack();
  for (const folder of [instance.stateDir, instance.runDir]) await mkdir(folder, { recursive: true, mode: 0o700 });
  await mkdir(instance.cacheDir, { recursive: true, mode: 0o755 });
  // What lies in a machine's folder goes with the machine.
  await Promise.all([instance.stateDir, instance.cacheDir, proofsFolder(instance)].map(removeUnfinishedWrites));
  const store = await openOwnStore({ path: join(instance.stateDir, 'strata.db'), isServed: () => answersOn(apiSocketPath(instance)), clock, log });
  closing.defer(() => store.close());
  const network = openHostNetwork({ instance, log });
  await network.ensure();
  const { engines, guestOs } = await openEngines({ instance, network, clock, log, poolSize }, closing);
  const gateway = openHaproxyGateway({ instance, log });
  closing.defer(() => gateway.release());
  const edge = openEdge({ instance, log });
  closing.defer(() => edge.release());
  const { layers } = await connectLayers({
    instance, version: programVersion(), clock, dice: systemDice, log, store, network, engines, guestOs, gateway, edge,
    backends: openStorageDaemon({ instance, clock }), images: openImages({ instance, store, clock, log }),
    upstreamDns: await readNameServers(), processors: availableParallelism(),
  }, closing);
  const api = await openApi({ backend: openBackend(layers), socketPath: apiSocketPath(instance), log });
  closing.defer(() => api.close());
  log.info({ instance: instance.name, tookMs: clock.now() - startedAt }, 'the daemon serves');
  layers.machines.measureInBackground();
  closing.defer(giveBackMemory());
  closing.defer(limitLogs([join(instance.stateDir, 'daemon.log'), join(instance.runDir, 'edge.log')], log));
  const all = closing.move();
  return { close: () => all.disposeAsync() };
}

function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
