/** Opens every layer from bottom to top, connects the drivers, and closes them in the opposite order. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { apiSocketPath, StrataError, systemClock, systemDice, type Instance, type Log } from '#base';
import { answersOn, openApi, openBackend, operationReruns, type Layers } from '#api';
import { openContainers, openImages } from '#containers';
import { builtGuestOs, openMachines, type Engine } from '#machines';
import { openStorageDaemon } from '#machines/backends';
import { openAddresses, openHost, openHostNetwork, openPorts, type PlacementRequest, type Ports } from '#pool';
import { openUserOperations, runControllers } from '#reconcile';
import { openEdge, openServices, type MachineWish } from '#services';
import { openHaproxyGateway } from '#services/haproxy';
import { engineOffers } from './engine-offers.ts';
import { giveBackMemory } from './give-back-memory.ts';
import { openEngines } from './open-engines.ts';
import { openOwnStore } from './open-own-store.ts';
import { readNameServers } from './read-name-servers.ts';

export interface Daemon { close(): Promise<void> }

export interface DaemonSettings {
  /** Paused machines kept ready, of each shape that was started of late; 0: none. */
  readonly poolSize: number;
}

/** Port of `http://<service>.<app>.localhost` where it is free. */
const usualHostsPort = 8000;
/** What a new machine's disks may take at once; they grow as they are written. */
const diskBytesNow = 1024 ** 3;

export async function openDaemon(instance: Instance, log: Log, { poolSize }: DaemonSettings): Promise<Daemon> {
  const clock = systemClock;
  const dice = systemDice;
  const startedAt = clock.now();
  await using closing = new AsyncDisposableStack();
  for (const folder of [instance.stateDir, instance.runDir]) await mkdir(folder, { recursive: true, mode: 0o700 });
  await mkdir(instance.cacheDir, { recursive: true, mode: 0o755 });
  const store = await openOwnStore({ path: join(instance.stateDir, 'strata.db'), isServed: () => answersOn(apiSocketPath(instance)), clock, log });
  closing.defer(() => store.close());
  const network = openHostNetwork({ instance, log });
  await network.ensure();
  const { engines, guestOs } = await openEngines({ instance, network, clock, log, poolSize }, closing);
  const machines = openMachines({
    instance, store, engines, network, backends: openStorageDaemon({ instance, clock }), clock, dice, log,
    builtGuestOs: async (engine, architecture) => (await builtGuestOs(architecture, { instance, flavour: engine === 'uml' ? 'uml' : 'machine' }))?.version,
  });
  await machines.sweep();
  closing.defer(() => machines.stop());
  const host = await openHost({ instance, store, clock, dice, log, proofs: () => machines.knownProofs(), promised: () => machines.promised() });
  closing.defer(() => host.stop());
  const addresses = openAddresses(store, instance);
  const ports = openPorts(store);
  const images = openImages({ instance, store, clock, log });
  const containers = openContainers({ instance, store, machines: machines.machines, images, clock, log });
  closing.defer(() => containers.close());
  const gateway = openHaproxyGateway({ instance, log });
  closing.defer(() => gateway.release());
  const edge = openEdge({ instance, log });
  closing.defer(() => edge.release());
  const hostsPort = await takeHostsPort(ports, instance);
  const services = openServices({
    instance, store, containers, images, copies: machines.copies, addresses, ports, network, gateway, edge, hostsPort, clock, dice, log,
    upstreamDns: await readNameServers(), host: { processors: availableParallelism(), maxDisks: await maxDisksOf(engines) },
    async engineOffers(prove) {
      if (prove.length > 0) await machines.proofs(prove);
      return engineOffers(await machines.engineFacts());
    },
    prepareGuest: async (architecture, engine, say) => { await guestOs(architecture, engine === 'uml' ? 'uml' : 'machine', say); },
    checkMachines: (wishes) => host.checkSizes(wishes.map(placementOf)),
    admitMachines: async (wishes) => {
      if (wishes.length === 0) return;
      // Only of engines that are asked for: a proof runs a guest.
      await machines.proofs([...new Set(wishes.map(({ engine }) => (engine === 'uml' ? 'uml' : 'qemu')))]);
      await host.admitAll(wishes.map(placementOf));
    },
  });
  await services.sweep();
  let layers: Layers | undefined;
  const operations = openUserOperations({ store, clock, dice, log, reruns: operationReruns(() => {
    if (layers === undefined) throw new StrataError('the daemon is not ready', { code: 'daemon.starting', kind: 'unavailable' });
    return layers;
  }) });
  layers = {
    instance, version: programVersion(), startedAt, store, clock, dice, log, host, addresses, machines,
    images, containers, services, operations, hostsPort, readiness: () => ({ ready: true, checks: [] }),
  };
  const controllers = runControllers({ controllers: [machines.controller, ...(machines.backends === undefined ? [] : [machines.backends.controller]), containers.controller, ...services.controllers], store, clock, dice, log });
  closing.defer(() => controllers.stop());
  await operations.recover();
  closing.defer(() => operations.stop());
  const api = await openApi({ backend: openBackend(layers), socketPath: apiSocketPath(instance), log });
  closing.defer(() => api.close());
  log.info({ instance: instance.name, tookMs: clock.now() - startedAt }, 'the daemon serves');
  machines.measureInBackground();
  closing.defer(giveBackMemory());
  const all = closing.move();
  return { close: () => all.disposeAsync() };
}

/** The gateway's own port stays the same once chosen; another program may hold the usual one. */
async function takeHostsPort(ports: Ports, instance: Instance): Promise<number> {
  const owner = 'gateway/hosts';
  const held = (await ports.list()).find((one) => one.owner === owner);
  if (held !== undefined) return held.port;
  try {
    return await ports.take(owner, usualHostsPort + instance.subnet, 'tcp');
  } catch (thrown) {
    if (thrown instanceof StrataError && thrown.code === 'pool.portTaken') return ports.take(owner, 0, 'tcp');
    throw thrown;
  }
}

async function maxDisksOf(engines: readonly Engine[]): Promise<{ readonly qemu: number; readonly uml: number }> {
  const all = await Promise.all(engines.map((engine) => engine.capabilities()));
  const of = (name: string): number => all.find((one) => one.name === name)?.maxDisks ?? 0;
  return { qemu: of('qemu'), uml: of('uml') };
}

function placementOf(machine: MachineWish): PlacementRequest {
  return { name: machine.name, architecture: machine.architecture, processors: machine.processors, memoryMiB: machine.memoryMiB, diskBytes: diskBytesNow, engine: machine.engine };
}

function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
