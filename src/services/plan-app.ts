/**
 * Decides what an app needs next: pure, from the record, what is there, and now. The result is a value:
 * operations in order, and the reasons for what is not done yet.
 *
 *   up:    service places ─► volumes ─► machines ─► containers (as depends_on allows) ─► leftovers away
 *   down:  containers drain and go ─► machines go ─► places go ─► (volumes) ─► the record itself
 */
import type { ContainerSpec } from '#containers';
import type { AppObserved } from './app-observed.ts';
import type { AppRecord, AppStatus, ServiceTemplate } from './app-record.ts';
import type { ServiceSpec } from './app.ts';
import { assignMachines, dedicatedMachineName, dedicatedTo, defaultContainerMiB, replicaKey, type AppMachine, type MachineWish, type ReplicaNeed, type RunEngine } from './assign-machines.ts';
import { dependenciesMet } from './dependencies-met.ts';
import { planClones, type ClonePlan, type ReplicaOrigin } from './rollout/plan-clones.ts';
import { planService, type ServicePlan } from './rollout/plan-service.ts';
import { serviceState } from './service-state.ts';
import { portsOf } from './traffic/compute-traffic.ts';

export type AppOperation = { readonly subject: string; readonly summary: string } & (
  | { readonly kind: 'service.place'; readonly service: string }
  | { readonly kind: 'service.unplace'; readonly service: string }
  | { readonly kind: 'volume.create'; readonly volume: string; readonly sizeBytes: number }
  | { readonly kind: 'volume.delete'; readonly id: string }
  | { readonly kind: 'machine.create'; readonly machine: MachineWish }
  | { readonly kind: 'machine.delete'; readonly id: string }
  | { readonly kind: 'template.take'; readonly service: string; readonly containerId: string; readonly machineId: string }
  | { readonly kind: 'template.drop'; readonly service: string; readonly machineId: string; readonly snapshotId: string; readonly unusable?: string }
  | { readonly kind: 'container.create'; readonly service: string; readonly index: number; readonly machineId: string; readonly origin?: ReplicaOrigin }
  | { readonly kind: 'container.drain'; readonly id: string }
  | { readonly kind: 'container.delete'; readonly id: string }
  | { readonly kind: 'app.forget' }
);

export interface AppPlan {
  readonly operations: readonly AppOperation[];
  readonly waitingOn: AppStatus['waitingOn'];
  readonly services: AppStatus['services'];
  readonly settled: boolean;
  readonly againAfterMs?: number;
}

/** How long a container that is being replaced or removed may keep open connections. */
export const drainLimitMs = 10_000;

export function planApp(app: AppRecord, observed: AppObserved, now: number): AppPlan {
  return app.wanted === 'up' ? planUp(app, observed, now) : planDown(app, observed, now);
}

function planUp(app: AppRecord, observed: AppObserved, now: number): AppPlan {
  const operations: AppOperation[] = [...placeServices(app, observed), ...createVolumes(app, observed)];
  const waitingOn: AppStatus['waitingOn'] = [];
  const creations: Creation[] = [];
  let again: number | undefined;
  for (const service of app.spec.services) {
    const plan = planService(viewOf(app, service, observed, now));
    again = earliest(again, plan.againAfterMs);
    waitingOn.push(...plan.waitingOn);
    operations.push(...endings(plan));
    const indexes = plan.steps.flatMap((step) => (step.kind === 'create' ? [step.index] : []));
    const blocked = indexes.length === 0 ? [] : dependenciesMet(service, app, observed);
    waitingOn.push(...blocked);
    const starts = planStarts(app, service, observed, blocked.length > 0 ? [] : indexes, now);
    operations.push(...starts.operations);
    waitingOn.push(...starts.waitingOn);
    again = earliest(again, starts.againAfterMs);
    creations.push(...starts.creations);
  }
  operations.push(...placeContainers(app, creations, observed));
  operations.push(...leftovers(app, observed, now, creations.length > 0));
  const services = app.spec.services.map((service) => serviceState(service, containersOf(service.name, observed), observed, waitingOn));
  const settled = operations.length === 0 && services.every((service) => service.state === 'ready' || service.state === 'completed');
  return { operations, waitingOn, services, settled, ...(again === undefined ? {} : { againAfterMs: again }) };
}

interface Creation { readonly service: ServiceSpec; readonly index: number; readonly origin?: ReplicaOrigin }

/** Which of a service's new replicas are made now, and what of its template. */
function planStarts(app: AppRecord, service: ServiceSpec, observed: AppObserved, indexes: readonly number[], now: number): { readonly creations: readonly Creation[]; readonly operations: readonly AppOperation[] } & Pick<ClonePlan, 'waitingOn' | 'againAfterMs'> {
  const template = observed.templates?.find((one) => one.record.service === service.name);
  const subject = `app/${app.id}`;
  if (service.start !== 'clone') {
    return { creations: indexes.map((index) => ({ service, index })), operations: template === undefined ? [] : [dropTemplate(template.record, 'the service does not start by clones any more')], waitingOn: [] };
  }
  const placed = placedBy(app, service);
  const clones = planClones({
    service: service.name, configDigest: observed.configDigests.get(service.name) ?? '', template, creations: indexes, now,
    members: containersOf(service.name, observed).filter((one) => !one.spec.draining),
    machines: new Set(observed.machines.map((one) => one.spec.id)),
    carried: (machineId) => observed.containers.filter((one) => one.spec.machineId === machineId).length,
    machineOf: (index) => observed.machines.find(({ spec }) => spec.name === dedicatedMachineName(app.name, { service: service.name, index, architecture: placed.architecture, engine: placed.engine }))?.spec,
  });
  const take: AppOperation[] = clones.take === undefined ? [] : [{ kind: 'template.take', service: service.name, containerId: clones.take.id, machineId: clones.take.machineId, subject, summary: `make a template of ${clones.take.name}` }];
  return {
    creations: clones.starts.map((start) => ({ service, ...start })), waitingOn: clones.waitingOn, ...(clones.againAfterMs === undefined ? {} : { againAfterMs: clones.againAfterMs }),
    operations: [...(template === undefined || clones.drop === undefined ? [] : [{ ...dropTemplate(template.record, clones.drop), ...(template.misfit === undefined ? {} : { unusable: clones.drop }) }]), ...take],
  };
}

function dropTemplate({ appId, service, machineId, snapshotId }: ServiceTemplate, why: string): Extract<AppOperation, { kind: 'template.drop' }> {
  return { kind: 'template.drop', service, machineId, snapshotId, subject: `app/${appId}`, summary: `drop the template of service ${service}: ${why}` };
}

/** Containers that are not created yet need a place; those whose machine is still to be made wait for the next round. */
function placeContainers(app: AppRecord, creations: readonly Creation[], observed: AppObserved): AppOperation[] {
  const placedServices = new Set(observed.services.map((service) => service.name));
  const volumes = new Set(observed.volumes.map((volume) => volume.key));
  const possible = creations.filter(({ service }) => placedServices.has(service.name)
    && service.mounts.every((mount) => mount.kind !== 'volume' || volumes.has(mount.volume)));
  const { placed } = assignMachines(app.name, possible.map(({ service, index }) => needOf({ service: placedBy(app, service), index, disks: disksNow(app, service, observed) })), machinesOf(app, observed), observed.host);
  // Machines are made for everything that will come, so that they boot while dependencies are awaited; and for the successor
  // of a replica that is there, where it fits none of them.
  const future = [...creations, ...app.spec.services.flatMap((service) => ahead(service, observed).map((index): Creation => ({ service, index })))]
    .map(({ service, index, origin }) => needOf({ service: placedBy(app, service), index, disks: disksNow(app, service, observed), ...fromOf(origin) }));
  const needs = new Map(future.map((need) => [replicaKey(need), need]));
  const { make } = assignMachines(app.name, [...needs.values()], machinesOf(app, observed), observed.host);
  return [
    ...make.map((machine): AppOperation => ({ kind: 'machine.create', machine, subject: `app/${app.id}`, summary: `make machine ${machine.name} (${machine.architecture}, ${machine.processors} processors, ${machine.memoryMiB} MiB${machine.from === undefined ? '' : ', as a clone'})` })),
    ...possible.flatMap(({ service, index, origin }): AppOperation[] => {
      const machineId = placed.get(replicaKey({ service: service.name, index }));
      return machineId === undefined ? [] : [{ kind: 'container.create', service: service.name, index, machineId, ...(origin === undefined ? {} : { origin }), subject: `app/${app.id}`, summary: `create container ${app.name}-${service.name}-${index}` }];
    }),
  ];
}

function placeServices(app: AppRecord, observed: AppObserved): AppOperation[] {
  const places = new Map(observed.services.map((service) => [service.name, service]));
  const parks = (service: ServiceSpec) => portsOf(service).every(({ port, protocol }) => protocol !== 'tcp' || places.get(service.name)?.parking[String(port)] !== undefined);
  return app.spec.services.filter((service) => !places.has(service.name) || !parks(service))
    .map((service) => ({ kind: 'service.place', service: service.name, subject: `app/${app.id}`, summary: `reserve a virtual address for service ${service.name}` }));
}

function createVolumes(app: AppRecord, observed: AppObserved): AppOperation[] {
  const there = new Set(observed.volumes.map((volume) => volume.key));
  return app.spec.volumes.filter((volume) => !there.has(volume.name))
    .map((volume) => ({ kind: 'volume.create', volume: volume.name, sizeBytes: volume.sizeBytes, subject: `app/${app.id}`, summary: `make volume ${app.name}_${volume.name}` }));
}

/** What the app no longer asks for: services gone from the file, machines without containers. Volumes stay. */
function leftovers(app: AppRecord, observed: AppObserved, now: number, creating: boolean): AppOperation[] {
  const wished = new Set(app.spec.services.map((service) => service.name));
  const gone = observed.containers.filter((one) => !wished.has(one.spec.service));
  const used = new Set(observed.containers.map((one) => one.spec.machineId));
  const pending = creating || app.spec.services.some((service) => missingIndexes(service, observed).length > 0);
  const idle = pending ? [] : observed.machines.filter((machine) => !used.has(machine.spec.id));
  return [
    ...gone.map((one) => end(one, now)).filter((one) => one !== undefined),
    ...(observed.templates ?? []).filter(({ record }) => !wished.has(record.service)).map(({ record }) => dropTemplate(record, 'the service is gone')),
    ...observed.services.filter((service) => !wished.has(service.name) && !gone.some((one) => one.spec.service === service.name))
      .map((service): AppOperation => ({ kind: 'service.unplace', service: service.name, subject: `app/${app.id}`, summary: `give back the virtual address of service ${service.name}` })),
    ...idle.map((machine): AppOperation => ({ kind: 'machine.delete', id: machine.spec.id, subject: `machine/${machine.spec.id}`, summary: `remove machine ${machine.spec.name}, which carries nothing` })),
  ];
}

function planDown(app: AppRecord, observed: AppObserved, now: number): AppPlan {
  const operations: AppOperation[] = [];
  for (const one of observed.containers) {
    const step = end(one, now);
    if (step !== undefined) operations.push(step);
  }
  if (observed.containers.length === 0) {
    operations.push(...(observed.templates ?? []).map(({ record }) => dropTemplate(record, 'the app goes down')));
    operations.push(...observed.machines.map((machine): AppOperation => ({ kind: 'machine.delete', id: machine.spec.id, subject: `machine/${machine.spec.id}`, summary: `remove machine ${machine.spec.name}` })));
    operations.push(...observed.services.map((service): AppOperation => ({ kind: 'service.unplace', service: service.name, subject: `app/${app.id}`, summary: `give back the virtual address of service ${service.name}` })));
    if (observed.machines.length === 0) {
      if (app.removeVolumes) operations.push(...observed.volumes.map((volume): AppOperation => ({ kind: 'volume.delete', id: volume.id, subject: `volume/${volume.id}`, summary: `delete volume ${volume.name} and its data` })));
      if (operations.length === 0) operations.push({ kind: 'app.forget', subject: `app/${app.id}`, summary: `forget app ${app.name}` });
    }
  }
  return { operations, waitingOn: [], services: [], settled: false, ...(observed.containers.length > 0 ? { againAfterMs: 300 } : {}) };
}

/** Out of the balancers first, then away; whoever serves nothing goes at once. */
function end(one: AppObserved['containers'][number], now: number): AppOperation | undefined {
  const subject = `container/${one.spec.id}`;
  const deletion: AppOperation = { kind: 'container.delete', id: one.spec.id, subject, summary: `remove container ${one.spec.name}` };
  if (one.spec.draining) return now - (one.spec.drainingSince ?? now) >= 300 || one.status?.phase !== 'running' ? deletion : undefined;
  if (one.status?.phase !== 'running') return deletion;
  return { kind: 'container.drain', id: one.spec.id, subject, summary: `send no more traffic to container ${one.spec.name}` };
}

function endings(plan: ServicePlan): AppOperation[] {
  return plan.steps.flatMap((step): AppOperation[] => {
    if (step.kind === 'drain') return [{ kind: 'container.drain', id: step.id, subject: `container/${step.id}`, summary: `drain container ${step.id}: ${step.why}` }];
    if (step.kind === 'remove') return [{ kind: 'container.delete', id: step.id, subject: `container/${step.id}`, summary: `remove container ${step.id}: ${step.why}` }];
    return [];
  });
}

function viewOf(app: AppRecord, service: ServiceSpec, observed: AppObserved, now: number) {
  return {
    service: service.name,
    replicas: service.replicas,
    configDigest: observed.configDigests.get(service.name) ?? '',
    stopFirst: service.mounts.some((mount) => mount.kind === 'volume' && !mount.readOnly),
    containers: containersOf(service.name, observed),
    sessions: observed.sessions,
    drainLimitMs: Math.max(drainLimitMs, 0),
    now,
  };
}

function containersOf(service: string, observed: AppObserved) {
  return observed.containers.filter((one) => one.spec.service === service);
}

function missingIndexes(service: ServiceSpec, observed: AppObserved): number[] {
  const there = new Set(containersOf(service.name, observed).map((one) => one.spec.index));
  return Array.from({ length: service.replicas }, (_, at) => at + 1).filter((index) => !there.has(index));
}

/** Replicas whose machines can be made before they are; of those that are cloned the first alone. */
function ahead(service: ServiceSpec, observed: AppObserved): number[] {
  const missing = missingIndexes(service, observed);
  if (service.start !== 'clone') return missing;
  return missing.length === service.replicas ? missing.slice(0, 1) : [];
}

const fromOf = (origin: ReplicaOrigin | undefined): Pick<ReplicaNeed, 'from'> => (origin?.way === 'clone' ? { from: { machineId: origin.machineId, snapshotId: origin.snapshotId } } : {});

/** What one replica asks of a machine. */
export function needOf({ service, index, disks, from }: { readonly service: ServiceSpec; readonly index: number; readonly disks: readonly string[] } & Pick<ReplicaNeed, 'from'>): ReplicaNeed {
  const bytes = service.limits.memoryBytes ?? service.reservations.memoryBytes;
  return {
    service: service.name, index, architecture: service.architecture, engine: service.engine,
    dedicated: service.isolation === 'dedicated',
    memoryMiB: bytes === undefined ? defaultContainerMiB : Math.ceil(bytes / 2 ** 20),
    cpus: service.limits.cpus ?? service.reservations.cpus ?? 0.5,
    disks, ...(from === undefined ? {} : { from }),
  };
}

/** With the engine that was chosen for it. What is not UML's stays as the file says it. */
function placedBy(app: AppRecord, service: ServiceSpec): ServiceSpec {
  return withEngine(service, app.engines[service.name]?.engine);
}

export function withEngine(service: ServiceSpec, chosen: RunEngine | undefined): ServiceSpec {
  if (service.engine !== 'auto' || chosen !== 'uml') return service;
  return { ...service, engine: 'uml' };
}

/** Disks of one replica: its image's and its volumes'. */
export function disksOf(service: ServiceSpec, image: string, nameOfVolume: (key: string) => string): readonly string[] {
  return [image, ...new Set(service.mounts.flatMap((mount) => (mount.kind === 'volume' ? [nameOfVolume(mount.volume)] : [])))];
}

/** By the names that containers have them under; a volume that is not there yet goes by its own. */
function disksNow(app: AppRecord, service: ServiceSpec, observed: AppObserved): readonly string[] {
  const ids = new Map(observed.volumes.map((volume) => [volume.key, volume.id]));
  return disksOf(service, app.images[service.name]?.digest ?? service.image.reference, (volume) => ids.get(volume) ?? volume);
}

/** The app's machines with the memory promised to the containers on them, and their disks. */
function machinesOf(app: AppRecord, observed: AppObserved): AppMachine[] {
  const dedicated = app.spec.services.filter((service) => service.isolation === 'dedicated')
    .flatMap((service) => Array.from({ length: service.replicas }, (_, at) => ({ service: service.name, index: at + 1 })));
  return observed.machines.map(({ spec }) => {
    const containers = observed.containers.map((one) => one.spec).filter((one) => one.machineId === spec.id);
    return {
      id: spec.id, name: spec.name, architecture: spec.architecture, engine: spec.engine, memoryMiB: spec.memoryMiB,
      dedicatedTo: dedicatedTo(app.name, spec, dedicated),
      promisedMiB: containers.reduce((sum, one) => sum + promisedMiB(one), 0),
      disks: [...new Set(containers.flatMap((one) => [one.image.digest, ...one.volumeIds]))],
    };
  });
}

function promisedMiB(container: ContainerSpec): number {
  const bytes = container.guest.limits.memoryBytes;
  return bytes === undefined ? defaultContainerMiB : Math.ceil(bytes / 2 ** 20);
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.min(a, b);
}
