/**
 * Opens the services layer: the controllers of apps and traffic, and what the api may ask for: bring an app
 * up, take it down, show it.
 */
import { gatewayAddress, StrataError, type Architecture, type Clock, type Dice, type Instance, type Log } from '#base';
import type { Containers, Images } from '#containers';
import { machineSpecSchema, machineStatusSchema } from '#machines';
import type { Addresses, HostNetwork, Ports } from '#pool';
import type { Controller } from '#reconcile';
import { recordsOf, type Records, type Store } from '#store';
import { appRecordSchema, appStatusSchema, serviceRecordSchema, serviceTemplateSchema, type AppRecord, type AppStatus, type ServiceRecord } from './app-record.ts';
import { runEngine, type AppHost, type MachineWish, type RunEngine } from './assign-machines.ts';
import { checkServices, endContainers, restartContainers, reviveContainers, startContainers, stopContainers } from './change-containers.ts';
import type { AppEngine, AppSpec } from './app.ts';
import type { Steps } from './await-services.ts';
import { bringUpApp, type BringUpDeps, type BringUpRequest } from './bring-up-app.ts';
import { machinesToMake } from './admit-app.ts';
import { previewApp } from './preview-app.ts';
import { readLastWords } from './read-last-words.ts';
import { selectServices } from './select-services.ts';
import { sweepLeftovers } from './sweep-leftovers.ts';
import { chooseEngines, enginesToProve, type ChooseEnginesDeps } from './engines/choose-engines.ts';
import type { EngineOffer } from './engines/choose-service-engine.ts';
import { countContainers } from './engines/count-containers.ts';
import type { Edge } from './edge/index.ts';
import type { Gateway } from './gateway/gateway.ts';
import { appsController, observeApp, type AppControllerDeps } from './reconcile-apps.ts';
import { openTraffic } from './traffic/reconcile-traffic.ts';

export interface ServicesDeps {
  readonly instance: Instance;
  readonly store: Store;
  readonly containers: Containers;
  readonly images: Images;
  /** Of machines, for templates of services. */
  readonly copies: AppControllerDeps['performer']['copies'];
  readonly addresses: Addresses;
  readonly ports: Ports;
  readonly network: HostNetwork;
  readonly gateway: Gateway;
  readonly edge: Edge;
  readonly hostsPort: number;
  readonly upstreamDns: readonly string[];
  readonly host: AppHost;
  /** What each engine offers here; those named are tried where nobody has, which runs a guest. */
  engineOffers(prove: readonly RunEngine[]): Promise<readonly EngineOffer[]>;
  prepareGuest(architecture: Architecture, engine: AppEngine, say: (message: string) => void): Promise<void>;
  /** Refuses machines that no host could ever carry side by side. @throws StrataError `pool.tooLarge` */
  checkMachines(machines: readonly MachineWish[]): Promise<void>;
  /** Refuses machines that fit no host side by side. @throws StrataError `pool.hostFull` */
  admitMachines(machines: readonly MachineWish[]): Promise<void>;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
}

export interface Services {
  readonly controllers: readonly Controller[];
  readonly apps: Records<AppRecord>;
  readonly statuses: Records<AppStatus>;
  readonly places: Records<ServiceRecord>;
  /** @throws StrataError `app.notFound` */
  findApp(name: string): Promise<AppRecord>;
  up(request: BringUpRequest, steps: Steps): Promise<AppRecord>;
  /** Stops, starts or restarts services (empty: all) and waits for it. @throws StrataError `app.notFound`, `service.notFound` */
  change(action: 'stop' | 'start' | 'restart', name: string, services: readonly string[], signal: AbortSignal, steps: Steps): Promise<void>;
  /** What `up` would do, one line each. */
  preview(request: Omit<BringUpRequest, 'signal' | 'waitMs'>): Promise<readonly string[]>;
  /** Gives back what a daemon that died had taken for a record it never wrote, or left of one it had deleted; called once, before anything runs. */
  sweep(): Promise<void>;
  /** @throws StrataError `service.notFound` */
  checkServices(app: AppRecord, services: readonly string[]): void;
  /** Wishes the app gone; `removeVolumes` takes its data too, `graceMs` replaces the containers' own grace. Idempotent. */
  down(name: string, removeVolumes: boolean, graceMs?: number): Promise<AppRecord>;
  /** Makes balancers and names follow the records now. */
  syncTraffic(): Promise<void>;
}

export function openServices(deps: ServicesDeps): Services {
  const apps = recordsOf(deps.store, 'app', appRecordSchema);
  const statuses = recordsOf(deps.store, 'app-status', appStatusSchema);
  const places = recordsOf(deps.store, 'service', serviceRecordSchema);
  const machineSpecs = recordsOf(deps.store, 'machine', machineSpecSchema);
  const machineStatuses = recordsOf(deps.store, 'machine-status', machineStatusSchema);
  const templates = recordsOf(deps.store, 'service-template', serviceTemplateSchema);
  const traffic = openTraffic({ observe: () => observeTraffic(), network: deps.network, gateway: deps.gateway, edge: deps.edge, clock: deps.clock });

  async function observeTraffic() {
    const [appList, placeList, specs, states, machines] = await Promise.all([apps.list(), places.list(), deps.containers.specs.list(), deps.containers.statuses.list(), machineSpecs.list()]);
    const stateById = new Map(states.map((one) => [one.value.id, one.value]));
    return {
      apps: appList.map((one) => one.value), services: placeList.map((one) => one.value),
      containers: specs.map((one) => ({ spec: one.value, status: stateById.get(one.value.id) })),
      machines: machines.map(({ value }) => ({ id: value.id, name: value.name, address: value.network?.address ?? null, project: value.owner?.startsWith('app/') === true ? value.owner.slice('app/'.length) : null })),
      gatewayAddress: gatewayAddress(deps.instance), hostsPort: deps.hostsPort, upstreamDns: deps.upstreamDns,
    };
  }

  async function sessions(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    for (const one of await deps.gateway.stats()) counts.set(one.server, (counts.get(one.server) ?? 0) + one.currentSessions);
    return counts;
  }

  const controllerDeps: AppControllerDeps = {
    store: deps.store, sessions, host: deps.host, clock: deps.clock, log: deps.log,
    performer: {
      instance: deps.instance, apps, appStatuses: statuses, services: places, machineSpecs, containers: deps.containers, images: deps.images, templates, copies: deps.copies,
      addresses: deps.addresses, syncTraffic: traffic.sync, ports: deps.ports, admit: (machine: MachineWish) => deps.admitMachines([machine]), gateway: gatewayAddress(deps.instance), clock: deps.clock, dice: deps.dice,
    },
  };

  /** What an app needs beyond the machines it has. */
  async function machinesFor(app: AppSpec, engines: AppRecord['engines']): Promise<readonly MachineWish[]> {
    const owned = (await machineSpecs.list()).map((one) => one.value);
    const id = (await apps.list()).find((one) => one.value.name === app.name)?.value.id;
    return machinesToMake(app, engines, owned.filter((machine) => machine.owner === `app/${id ?? ''}`), deps.host);
  }

  const choosing: ChooseEnginesDeps = {
    offers: deps.engineOffers,
    async running(appId, service) {
      const [own, specs, states] = await Promise.all([deps.containers.specs.list(), machineSpecs.list(), machineStatuses.list()]);
      const members = own.map((one) => one.value).filter((one) => one.appId === appId && one.service === service && !one.draining);
      const [first] = members;
      const machine = specs.find((one) => one.id === first?.machineId)?.value;
      if (machine === undefined) return undefined;
      const engine = runEngine(states.find((one) => one.id === machine.id)?.value.engine ?? machine.engine);
      return { engine, counted: () => countContainers(deps.containers, members.map((one) => one.id), deps.log) };
    },
  };
  const changes = { containers: deps.containers, machineSpecs, addresses: deps.addresses, clock: deps.clock };
  const bringUp: BringUpDeps = {
    apps, images: deps.images, ports: deps.ports, prepareGuest: deps.prepareGuest, syncTraffic: traffic.sync, clock: deps.clock, dice: deps.dice,
    reviveContainers: (appId, services) => reviveContainers(changes, appId, services),
    awaiting: {
      appStatuses: statuses, containers: deps.containers.specs, containerStatuses: deps.containers.statuses, clock: deps.clock,
      lastWords: (id) => readLastWords({ logs: deps.containers.logs, clock: deps.clock, log: deps.log }, id),
    },
    async chooseEngines(app, chosen, existing, steps) {
      const known = await deps.engineOffers([]);
      const uml = chosen.find((service) => enginesToProve([service], known).includes('uml'));
      // A guest is run to prove it, so its guest OS has to be there.
      if (uml !== undefined) await steps.step(`guest OS ${uml.architecture} for UML`, (say) => deps.prepareGuest(uml.architecture, 'uml', say));
      return chooseEngines(choosing, app, chosen, existing);
    },
    checkSize: async (app, engines) => deps.checkMachines(await machinesFor(app, engines)),
    admitApp: async (app, engines) => deps.admitMachines(await machinesFor(app, engines)),
  };

  async function findApp(name: string): Promise<AppRecord> {
    const app = (await apps.list()).map((one) => one.value).find((one) => one.name === name);
    if (app === undefined) throw new StrataError(`there is no app ${name}`, { code: 'app.notFound', kind: 'notFound', advice: 'see `strata app ls`' });
    return app;
  }

  return {
    controllers: [appsController(controllerDeps), traffic.controller],
    apps, statuses, places, findApp,
    up: (request, steps) => bringUpApp(bringUp, request, steps),
    async change(action, name, services, signal, steps) {
      const app = await findApp(name);
      checkServices(app, services);
      await { stop: stopContainers, start: startContainers, restart: restartContainers }[action](changes, { app, services, signal }, steps);
    },
    async preview(request) {
      const existing = (await apps.list()).map((one) => one.value).find((one) => one.name === request.app.name);
      const { app } = selectServices(request.app, existing?.spec, request);
      // Nothing is proved or prepared for a preview: what is not known counts as not tried.
      const engines = await chooseEngines({ ...choosing, offers: () => deps.engineOffers([]) }, app, app.services, existing);
      await deps.checkMachines(await machinesFor(app, engines));
      return previewApp(app, engines, existing, existing === undefined ? undefined : await observeApp(controllerDeps, existing), deps.host);
    },
    sweep: () => sweepLeftovers({ apps, places, machineSpecs, containers: deps.containers, addresses: deps.addresses, ports: deps.ports }),
    checkServices,
    async down(name, removeVolumes, graceMs) {
      const app = await findApp(name);
      if (graceMs !== undefined) await endContainers({ ...changes, syncTraffic: traffic.sync }, app.id, graceMs);
      const now = deps.clock.now();
      // It may have gone meanwhile, and is not written anew then.
      return await apps.update(app.id, (before) => (before === undefined || (before.wanted === 'down' && (before.removeVolumes || !removeVolumes)) ? before
        : { ...before, wanted: 'down', removeVolumes: before.removeVolumes || removeVolumes, generation: before.generation + 1, updatedAt: now })) ?? app;
    },
    syncTraffic: traffic.sync,
  };
}
