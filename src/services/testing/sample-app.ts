/** Small complete apps, containers and statuses for tests of this layer; every field can be overridden. */
import type { ContainerSpec, ContainerStatus } from '#containers';
import type { GuestContainerSpec } from '#guest-protocol';
import type { MachineSpec } from '#machines';
import type { AppRecord } from '../app-record.ts';
import type { ServiceSpec } from '../app.ts';

export function sampleService(name: string, changes: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    name, architecture: 'x86_64', image: { kind: 'reference', reference: `${name}:1`, pullPolicy: 'missing' }, command: null, entrypoint: null, environment: {},
    workingDir: null, user: null, groupAdd: [], hostname: null, labels: {}, replicas: 1, ports: [], expose: [], mounts: [], files: [], dependsOn: [], healthcheck: null,
    restart: { policy: 'unless-stopped' }, limits: {}, reservations: {}, readOnly: false, init: false, tty: false, privileged: false, capAdd: [], capDrop: [],
    stopGraceMs: 10_000, stopSignal: null, sysctls: {}, ulimits: [], shmBytes: 67_108_864, extraHosts: [], dns: [], aliases: [], engine: 'auto', isolation: 'shared',
    ...changes,
  };
}

export function sampleApp(services: readonly ServiceSpec[], changes: Partial<AppRecord> = {}): AppRecord {
  const volumes = [...new Set(services.flatMap((service) => service.mounts.flatMap((mount) => (mount.kind === 'volume' ? [mount.volume] : []))))];
  return {
    id: 'aapp', name: 'shop',
    spec: { name: 'shop', workingDir: '/shop', files: ['/shop/compose.yaml'], services, volumes: volumes.map((name) => ({ name, external: false, sizeBytes: 2 ** 30, labels: {} })) },
    images: Object.fromEntries(services.map((service) => [service.name, { digest: `sha256:${service.name}`, reference: `${service.name}:1` }])),
    engines: {}, wanted: 'up', removeVolumes: false, recreateToken: '', recreateServices: [], generation: 1, createdAt: 0, updatedAt: 0,
    ...changes,
  };
}

export function sampleGuest(changes: Partial<GuestContainerSpec> = {}): GuestContainerSpec {
  return {
    id: 'c', digest: 'guest', hostname: 'h', imageSerial: 'img-1', argv: ['x'], env: [], cwd: '/', user: '', extraGroups: [], readOnlyRoot: false, mounts: [], limits: {},
    network: null, capabilities: { add: [], drop: [] }, privileged: false, init: false, tty: false, stopSignal: 'SIGTERM', stopGraceMs: 10_000,
    restart: { policy: 'unless-stopped' }, health: null, sysctls: {}, ulimits: [], shmBytes: 0, logBytes: 0, ...changes,
  };
}

export function sampleContainer(service: string, index: number, changes: Partial<ContainerSpec> = {}): ContainerSpec {
  const id = changes.id ?? `c${service}${index}`;
  return {
    id, name: `shop-${service}-${index}`, appId: 'aapp', appName: 'shop', service, index, machineId: 'm1',
    image: { digest: `sha256:${service}`, architecture: 'x86_64', reference: `${service}:1` }, volumeIds: [], address: '10.88.1.1', configDigest: `wish-${service}`,
    guest: sampleGuest({ id }), wanted: 'running', draining: false, drainingSince: null, createdAt: 0, generation: 1, ...changes,
  };
}

export function sampleStatus(spec: ContainerSpec, changes: Partial<ContainerStatus> = {}): ContainerStatus {
  return {
    id: spec.id, machineId: spec.machineId, phase: 'running', why: '', digest: spec.guest.digest, health: 'none', pid: 10, startedAt: 1, finishedAt: null, exitCode: null,
    oomKilled: false, stopped: false, restarts: 0, lastProbe: null, writes: [], guestBootId: 'b', ...changes,
  };
}

export function sampleMachine(changes: Partial<MachineSpec> = {}): MachineSpec {
  return {
    id: 'm1', name: 'shop-x86-64', architecture: 'x86_64', engine: 'auto', processors: 2, memoryMiB: 1024, boot: { kind: 'guest-os' }, scratchMiB: 1024, disks: [],
    network: null, wanted: 'running', owner: 'app/aapp', createdAt: 0, generation: 1, ...changes,
  };
}
