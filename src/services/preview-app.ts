/**
 * What an `up` would do, in order, without doing any of it: the real planner runs against a picture of the
 * app in memory in which every operation succeeds at once. Pure.
 */
import type { ContainerSpec, ContainerStatus } from '#containers';
import type { MachineSpec } from '#machines';
import type { AppRecord, ServiceTemplate } from './app-record.ts';
import type { AppSpec } from './app.ts';
import type { AppObserved } from './app-observed.ts';
import { planApp, type AppOperation } from './plan-app.ts';

const rounds = 100;

/** Lines such as 'create container shop-web-1'; empty where nothing is to be done. */
export function previewApp(app: AppSpec, engines: AppRecord['engines'], existing: AppRecord | undefined, observed: AppObserved | undefined, host: AppObserved['host']): readonly string[] {
  const record: AppRecord = {
    id: 'preview', images: {}, removeVolumes: false, recreateToken: '', recreateServices: [], createdAt: 0, updatedAt: 0, ...existing,
    name: app.name, spec: app, engines, wanted: 'up', generation: (existing?.generation ?? 0) + 1,
  };
  // Images are not looked at: a service that stays as it is in the file keeps the digest its containers have.
  const digestOf = (name: string): string => {
    const before = existing?.spec.services.find((one) => one.name === name);
    const after = app.services.find((one) => one.name === name);
    return JSON.stringify(before) === JSON.stringify(after) ? observed?.configDigests.get(name) ?? name : `${name} as the file says now`;
  };
  let picture: AppObserved = {
    ...(observed ?? { containers: [], machines: [], volumes: [], services: [], sessions: new Map(), host }),
    configDigests: new Map(app.services.map((service) => [service.name, digestOf(service.name)])),
  };
  const lines: string[] = [];
  let now = 0;
  for (let round = 0; round < rounds; round += 1) {
    const plan = planApp(record, picture, now);
    if (plan.operations.length === 0 && plan.againAfterMs === undefined) break;
    for (const operation of plan.operations) {
      lines.push(operation.summary);
      picture = after(record, picture, operation, now);
    }
    now += 60_000;
  }
  return lines;
}

function after(app: AppRecord, seen: AppObserved, operation: AppOperation, now: number): AppObserved {
  switch (operation.kind) {
    case 'service.place': return { ...seen, services: [...seen.services, { appId: app.id, appName: app.name, name: operation.service, virtualAddress: '', parking: {} }] };
    case 'service.unplace': return { ...seen, services: seen.services.filter((one) => one.name !== operation.service) };
    case 'volume.create': return { ...seen, volumes: [...seen.volumes, { id: operation.volume, name: operation.volume, appId: app.id, appName: app.name, key: operation.volume, sizeBytes: operation.sizeBytes, createdAt: now }] };
    case 'volume.delete': return { ...seen, volumes: seen.volumes.filter((one) => one.id !== operation.id) };
    case 'machine.create': return { ...seen, machines: [...seen.machines, { spec: machineOf(app, operation.machine), status: undefined }] };
    case 'machine.delete': return { ...seen, machines: seen.machines.filter((one) => one.spec.id !== operation.id) };
    case 'template.take': return { ...seen, templates: [...seen.templates ?? [], { record: templateOf(app, seen, operation, now), misfit: undefined }] };
    case 'template.drop': return { ...seen, templates: (seen.templates ?? []).filter((one) => one.record.snapshotId !== operation.snapshotId) };
    case 'container.create': return { ...seen, containers: [...seen.containers, memberOf(app, seen, operation, now)] };
    case 'container.drain': return { ...seen, containers: seen.containers.map((one) => (one.spec.id === operation.id ? { ...one, spec: { ...one.spec, draining: true, drainingSince: now } } : one)) };
    case 'container.delete': return { ...seen, containers: seen.containers.filter((one) => one.spec.id !== operation.id) };
    case 'app.forget': return seen;
  }
}

function machineOf(app: AppRecord, wish: Extract<AppOperation, { kind: 'machine.create' }>['machine']): MachineSpec {
  return { id: wish.name, name: wish.name, architecture: wish.architecture, engine: wish.engine, processors: wish.processors, memoryMiB: wish.memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: 0, disks: [], network: null, wanted: 'running', owner: `app/${app.id}`, createdAt: 0, generation: 1, ...(wish.from === undefined ? {} : { from: wish.from }) };
}

function templateOf(app: AppRecord, seen: AppObserved, { service, containerId, machineId }: Extract<AppOperation, { kind: 'template.take' }>, now: number): ServiceTemplate {
  return { appId: app.id, service, containerId, machineId, snapshotId: service, configDigest: seen.configDigests.get(service) ?? '', state: 'ready', why: '', triedAt: now };
}

function memberOf(app: AppRecord, seen: AppObserved, operation: Extract<AppOperation, { kind: 'container.create' }>, now: number): AppObserved['containers'][number] {
  const service = app.spec.services.find((one) => one.name === operation.service);
  const id = `${operation.service}-${operation.index}-${now}`;
  const guest: ContainerSpec['guest'] = {
    id, digest: id, hostname: '', imageSerial: '', argv: [], env: [], cwd: '', user: '', extraGroups: [], readOnlyRoot: false, mounts: [], limits: {}, network: null,
    capabilities: { add: [], drop: [] }, privileged: false, init: false, tty: false, stopSignal: '', stopGraceMs: 0, restart: { policy: 'no' }, health: null, sysctls: {}, ulimits: [], shmBytes: 0, logBytes: 0,
  };
  const spec: ContainerSpec = {
    id, name: `${app.name}-${operation.service}-${operation.index}`, appId: app.id, appName: app.name, service: operation.service, index: operation.index, machineId: operation.machineId,
    image: { digest: '', architecture: service?.architecture ?? 'x86_64', reference: '' }, volumeIds: [], address: '', configDigest: seen.configDigests.get(operation.service) ?? '',
    guest, wanted: 'running', draining: false, drainingSince: null, createdAt: now, generation: 1,
  };
  return { spec, status: statusOf(app, spec) };
}

/** What dependents wait for has come: healthy, or done where somebody waits for its end. */
function statusOf(app: AppRecord, spec: ContainerSpec): ContainerStatus {
  const isJob = app.spec.services.some((one) => one.dependsOn.some((dependency) => dependency.service === spec.service && dependency.condition === 'completed'));
  return {
    id: spec.id, machineId: spec.machineId, phase: isJob ? 'exited' : 'running', why: '', digest: spec.guest.digest, health: 'healthy', pid: 1, startedAt: 0, finishedAt: null,
    exitCode: isJob ? 0 : null, oomKilled: false, stopped: false, restarts: 0, lastProbe: null, writes: [], guestBootId: '',
  };
}
