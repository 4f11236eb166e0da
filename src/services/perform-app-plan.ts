/**
 * Carries out an app's plan: small idempotent writes to the store, each with a crash point before and
 * after. The machines and containers controllers do the rest; this layer starts no process.
 */
import { createHash } from 'node:crypto';
import { failpoint, newId, StrataError, type Clock, type Dice, type Instance } from '#base';
import { buildGuestSpec, deleteVolume, type Containers, type ContainerSpec, type Images } from '#containers';
import type { MachineSpec } from '#machines';
import { macOfAddress, type Addresses, type Ports } from '#pool';
import type { Records } from '#store';
import { appKey, serviceKey, type AppRecord, type AppStatus, type ServiceRecord } from './app-record.ts';
import type { ServiceSpec } from './app.ts';
import type { MachineWish } from './assign-machines.ts';
import { configDigestOf, containerWish } from './container-wish.ts';
import { dropTemplate, makeTemplate, type TemplateDeps } from './make-template.ts';
import type { AppOperation } from './plan-app.ts';
import type { ReplicaOrigin } from './rollout/plan-clones.ts';
import { portsOf } from './traffic/compute-traffic.ts';

export interface AppPerformer {
  readonly instance: Instance;
  readonly apps: Records<AppRecord>;
  readonly appStatuses: Records<AppStatus>;
  readonly services: Records<ServiceRecord>;
  readonly machineSpecs: Records<MachineSpec>;
  readonly containers: Containers;
  readonly images: Images;
  readonly templates: TemplateDeps['templates'];
  readonly copies: TemplateDeps['copies'];
  readonly addresses: Addresses;
  readonly ports: Ports;
  /** Makes the balancers follow the records now, before the next step. */
  syncTraffic(): Promise<void>;
  /** Refuses what does not fit the host, naming numbers. @throws StrataError `pool.hostFull` */
  admit(machine: MachineWish): Promise<void>;
  readonly gateway: string;
  readonly clock: Clock;
  readonly dice: Dice;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export async function performAppOperation(deps: AppPerformer, app: AppRecord, operation: AppOperation): Promise<void> {
  failpoint(`${operation.kind}.before`);
  switch (operation.kind) {
    case 'service.place': await placeService(deps, app, operation.service); break;
    case 'service.unplace': await unplaceService(deps, app, operation.service); break;
    case 'volume.create': await createVolume(deps, app, operation.volume, operation.sizeBytes); break;
    case 'volume.delete': await deleteVolume(deps.instance, deps.containers.volumes, operation.id); break;
    case 'machine.create': await createMachine(deps, app, operation.machine); break;
    case 'machine.delete': await deleteMachine(deps, operation.id); break;
    case 'template.take': await makeTemplate(deps, app, { service: operation.service, containerId: operation.containerId, machineId: operation.machineId, configDigest: configDigestOf(app, serviceOf(app, operation.service), sha256) }); break;
    case 'template.drop': await dropTemplate(deps, app.id, operation.service, operation); break;
    case 'container.create': await createContainer(deps, app, operation); break;
    case 'container.drain': await drainContainer(deps, operation.id); break;
    case 'container.delete': await deleteContainer(deps, operation.id); break;
    case 'app.forget': await forgetApp(deps, app); break;
  }
  failpoint(`${operation.kind}.after`);
}

async function placeService(deps: AppPerformer, app: AppRecord, name: string): Promise<void> {
  const service = serviceOf(app, name);
  const owner = serviceKey(app.id, name);
  const before = (await deps.services.get(`${app.id}.${name}`))?.value;
  const parking: Record<string, number> = { ...before?.parking };
  for (const { port, protocol } of portsOf(service)) if (protocol === 'tcp') parking[String(port)] ??= await freeParkingPort(deps, parking);
  await deps.addresses.allocate('service', owner, (virtualAddress) => [deps.services.putWrite(`${app.id}.${name}`, { appId: app.id, appName: app.name, name, virtualAddress, parking })]);
}

/** Edge ports lie in 20000–29999; the lowest one no service holds. */
async function freeParkingPort(deps: AppPerformer, own: Readonly<Record<string, number>>): Promise<number> {
  const taken = new Set([...(await deps.services.list()).flatMap((one) => Object.values(one.value.parking)), ...Object.values(own)]);
  for (let port = 20_000; port < 30_000; port += 1) if (!taken.has(port)) return port;
  throw new StrataError('no parking port is left between 20000 and 29999', { code: 'service.noParkingPort', kind: 'exhausted', advice: 'remove apps that are no longer used' });
}

async function unplaceService(deps: AppPerformer, app: AppRecord, name: string): Promise<void> {
  await deps.addresses.release(serviceKey(app.id, name), [{ delete: deps.services.key(`${app.id}.${name}`) }]);
}

async function createVolume(deps: AppPerformer, app: AppRecord, key: string, sizeBytes: number): Promise<void> {
  const there = (await deps.containers.volumes.list()).some((one) => one.value.appName === app.name && one.value.key === key);
  if (there) return;
  const id = newId('volume', deps.dice);
  await deps.containers.volumes.put(id, { id, name: `${app.name}_${key}`, appId: app.id, appName: app.name, key, sizeBytes, createdAt: deps.clock.now() });
}

async function createMachine(deps: AppPerformer, app: AppRecord, wish: MachineWish): Promise<void> {
  const named = (await deps.machineSpecs.list()).find((one) => one.value.name === wish.name);
  if (named?.value.owner === appKey(app.id)) return;
  if (named !== undefined) throw new StrataError(`machine ${wish.name} exists already and does not belong to app ${app.name}`, { code: 'service.machineNameTaken', kind: 'conflict', advice: `remove it with \`strata machine rm ${wish.name}\` or rename the app` });
  await deps.admit(wish);
  const id = newId('machine', deps.dice);
  await deps.addresses.allocate('endpoint', `machine/${id}`, (address) => [deps.machineSpecs.putWrite(id, {
    id, name: wish.name, architecture: wish.architecture, engine: wish.engine, processors: wish.processors, memoryMiB: wish.memoryMiB,
    boot: { kind: 'guest-os' }, scratchMiB: 16 * 1024, disks: [], network: { mac: macOfAddress(address), address }, ...(wish.from === undefined ? {} : { from: wish.from }),
    wanted: 'running', owner: appKey(app.id), createdAt: deps.clock.now(), generation: 1,
  })]);
}

async function deleteMachine(deps: AppPerformer, id: string): Promise<void> {
  await deps.addresses.release(`machine/${id}`, [{ delete: deps.machineSpecs.key(id) }]);
}

async function createContainer(deps: AppPerformer, app: AppRecord, operation: Extract<AppOperation, { kind: 'container.create' }>): Promise<void> {
  const service = serviceOf(app, operation.service);
  const configDigest = configDigestOf(app, service, sha256);
  const twin = (await deps.containers.specs.list()).map((one) => one.value)
    .find((one) => one.appId === app.id && one.service === service.name && one.index === operation.index && one.configDigest === configDigest && !one.draining);
  if (twin !== undefined) return;
  const chosen = app.images[service.name];
  const image = chosen === undefined ? undefined : await deps.images.find(chosen.digest, service.architecture);
  if (chosen === undefined || image === undefined) {
    throw new StrataError(`the image of service ${service.name} is not on this host`, { code: 'service.imageMissing', kind: 'unavailable', advice: 'run `strata up` again: it brings the image back' });
  }
  const id = newId('container', deps.dice);
  const volumes = new Map((await deps.containers.volumes.list()).filter((one) => one.value.appName === app.name).map((one) => [one.value.key, one.value.id]));
  const wishAt = (address: string) => containerWish(app, service, { id, index: operation.index, address, mac: macOfAddress(address), gateway: deps.gateway, volumes });
  const recordAt = (address: string): ContainerSpec => ({
    id, name: `${app.name}-${service.name}-${operation.index}`, appId: app.id, appName: app.name, service: service.name, index: operation.index,
    machineId: operation.machineId,
    image: { digest: image.digest, architecture: image.architecture, reference: chosen.reference },
    volumeIds: [...new Set(service.mounts.flatMap((mount) => (mount.kind === 'volume' ? [volumes.get(mount.volume) ?? ''] : [])))].filter((one) => one !== ''),
    address, configDigest, guest: buildGuestSpec(wishAt(address), image.config, sha256), ...originOf(operation.origin, service),
    wanted: 'running', draining: false, drainingSince: null, createdAt: deps.clock.now(), generation: 1,
  });
  await deps.addresses.allocate('endpoint', `container/${id}`, (address) => [deps.containers.specs.putWrite(id, recordAt(address))]);
}

/** How it is to come to run, as the containers layer is told. */
function originOf(origin: ReplicaOrigin | undefined, { afterClone }: ServiceSpec): Pick<ContainerSpec, 'origin'> {
  if (origin === undefined) return {};
  return { origin: origin.way === 'start' ? origin : { way: 'clone', from: origin.containerId, command: afterClone === undefined ? null : [...afterClone] } };
}

/** Out of every balancer before anything else happens to it. */
async function drainContainer(deps: AppPerformer, id: string): Promise<void> {
  const now = deps.clock.now();
  await deps.containers.specs.update(id, (spec) => (spec === undefined || spec.draining ? spec : { ...spec, draining: true, drainingSince: now, generation: spec.generation + 1 }));
  await deps.syncTraffic();
}

async function deleteContainer(deps: AppPerformer, id: string): Promise<void> {
  await deps.addresses.release(`container/${id}`, [{ delete: deps.containers.specs.key(id) }]);
}

/** With its ports and its status or not at all; an app that was brought up again since this was planned stays. */
async function forgetApp(deps: AppPerformer, app: AppRecord): Promise<void> {
  const there = await deps.apps.get(app.id);
  if (there === undefined || there.value.generation !== app.generation) return;
  const writes = [there.key, deps.appStatuses.key(app.id)].map((key) => ({ delete: key }));
  await deps.ports.release(appKey(app.id), { compare: [{ key: there.key, revision: there.revision }], writes });
}

function serviceOf(app: AppRecord, name: string): ServiceSpec {
  const service = app.spec.services.find((one) => one.name === name);
  if (service === undefined) throw new StrataError(`app ${app.name} has no service ${name}`, { code: 'service.notFound', kind: 'notFound' });
  return service;
}
