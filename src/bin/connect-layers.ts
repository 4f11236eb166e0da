/**
 * Joins the layers from bottom to top on the drivers it is given. The daemon gives real ones, the simulation of tests such
 * as pretend; what is wired here is wired in both.
 */
import { join } from 'node:path';
import { StrataError, type Architecture, type Clock, type Dice, type Instance, type Log, type ProcessIdentity } from '#base';
import { operationReruns, type Layers } from '#api';
import { openContainers, type Images } from '#containers';
import { openMachines, type DiskBackends, type Engine, type FormatDisk } from '#machines';
import { openAddresses, openHost, openPorts, type HostNetwork, type LookAtHost, type PlacementRequest, type PortIsFree } from '#pool';
import { openUserOperations, runControllers, type ControllersRun } from '#reconcile';
import { openServices, type Edge, type Gateway, type MachineWish, type RunEngine } from '#services';
import type { Store } from '#store';
import { engineOffers } from './engine-offers.ts';
import { takeHostsPort } from './take-hosts-port.ts';

/** Of all instances of this host. */
export const proofsFolder = ({ cacheDir }: Instance): string => join(cacheDir, 'proofs');

/** All that reaches out of the daemon's process. */
export interface Drivers {
  readonly instance: Instance;
  /** Of the program. */
  readonly version: string;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly store: Store;
  readonly network: HostNetwork;
  /** In the order in which `auto` tries them. */
  readonly engines: readonly Engine[];
  readonly guestOs: GuestOsBuilds;
  /** Serves disks to VMMs; undefined where this host cannot. */
  readonly backends: DiskBackends | undefined;
  readonly images: Images;
  readonly gateway: Gateway;
  readonly edge: Edge;
  /** What guests ask and we do not know goes there. */
  readonly upstreamDns: readonly string[];
  /** Processors of this host. */
  readonly processors: number;
  /** Stands in for this host in worlds in memory; without it the host itself is looked at and acted on. */
  readonly standIn?: HostStandIn;
}

export interface GuestOsBuilds {
  /** Version of what is built; undefined where nothing is. */
  built(engine: RunEngine, architecture: Architecture): Promise<string | undefined>;
  ensure(engine: RunEngine, architecture: Architecture, say: (message: string) => void): Promise<void>;
}

export interface HostStandIn {
  readonly look: LookAtHost;
  readonly portIsFree: PortIsFree;
  bootId(): string;
  endProcess(identity: ProcessIdentity): Promise<boolean>;
  readonly formatDisk: FormatDisk;
  /** How long the end waits for what controllers are doing: programs that are really run keep no other time than ours. */
  readonly endLimitMs: number;
}

export interface ConnectedLayers { readonly layers: Layers; readonly controllers: ControllersRun }

/** What a new machine's disks may take at once; they grow as they are written. */
const diskBytesNow = 1024 ** 3;

/** @param closing what is let go of when the daemon ends; machines go on */
export async function connectLayers(drivers: Drivers, closing: AsyncDisposableStack): Promise<ConnectedLayers> {
  const { instance, version, clock, dice, log, store, network, engines, guestOs, backends, images, gateway, edge, standIn } = drivers;
  const machines = openMachines({
    instance, store, engines, network, clock, dice, log,
    builtGuestOs: async (engine, architecture) => guestOs.built(engine === 'uml' ? 'uml' : 'qemu', architecture),
    ...(backends === undefined ? {} : { backends }), ...(standIn === undefined ? { proofsFolder: proofsFolder(instance) } : { host: standIn }),
  });
  await machines.sweep();
  closing.defer(() => machines.stop());
  const host = await openHost({ instance, store, clock, dice, log, proofs: () => machines.knownProofs(), promised: () => machines.promised(), ...(standIn === undefined ? {} : { look: standIn.look }) });
  closing.defer(() => host.stop());
  const addresses = openAddresses(store, instance);
  const ports = openPorts(store, standIn?.portIsFree);
  const hostsPort = await takeHostsPort(ports, instance);
  const containers = openContainers({ instance, store, machines: machines.machines, images, clock, log, ...(standIn === undefined ? {} : { formatDisk: standIn.formatDisk }) });
  closing.defer(() => containers.close());
  const services = openServices({
    instance, store, containers, images, copies: machines.copies, addresses, ports, network, gateway, edge, hostsPort, clock, dice, log,
    upstreamDns: drivers.upstreamDns, host: { processors: drivers.processors, maxDisks: await maxDisksOf(engines) },
    async engineOffers(prove) {
      if (prove.length > 0) await machines.proofs(prove);
      return engineOffers(await machines.engineFacts());
    },
    prepareGuest: (architecture, engine, say) => guestOs.ensure(engine === 'uml' ? 'uml' : 'qemu', architecture, say),
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
  layers = { instance, version, startedAt: clock.now(), store, clock, dice, log, host, addresses, machines, images, containers, services, operations, hostsPort, readiness: () => ({ ready: true, checks: [] }) };
  const controllers = runControllers({ controllers: [machines.controller, ...(machines.backends === undefined ? [] : [machines.backends.controller]), containers.controller, ...services.controllers], store, clock, dice, log });
  closing.defer(() => controllers.stop(standIn?.endLimitMs));
  closing.defer(() => operations.stop());
  await operations.recover();
  return { layers, controllers };
}

async function maxDisksOf(engines: readonly Engine[]): Promise<Readonly<Record<RunEngine, number>>> {
  const all = await Promise.all(engines.map((engine) => engine.capabilities()));
  const of = (name: RunEngine): number => all.find((one) => one.name === name)?.maxDisks ?? 0;
  return { qemu: of('qemu'), uml: of('uml') };
}

function placementOf({ name, architecture, processors, memoryMiB, engine }: MachineWish): PlacementRequest {
  return { name, architecture, processors, memoryMiB, diskBytes: diskBytesNow, engine };
}
