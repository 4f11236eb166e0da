/** Apps, services, containers and volumes as the contract's views, from their records. Pure. */
import type { App, Container, Service, Volume as VolumeView } from '#contract';
import type { ContainerSpec, ContainerStatus, Volume } from '#containers';
import type { MachineSpec, MachineStatus } from '#machines';
import type { AppRecord, AppStatus, ServiceRecord, ServiceSpec } from '#services';
import { timeOf, timeOrNull } from './show-machine.ts';

export interface Member { readonly spec: ContainerSpec; readonly status: ContainerStatus | undefined }

const serviceStates = { ready: 'running', completed: 'completed', starting: 'starting', waiting: 'pending', failed: 'failed', stopping: 'stopped' } as const;

export interface AppView {
  readonly record: AppRecord;
  readonly revision: number;
  readonly status: AppStatus | undefined;
  readonly members: readonly Member[];
  readonly places: readonly ServiceRecord[];
  readonly hostsPort: number;
}

export function showApp(view: AppView): App {
  const services = view.record.spec.services.map((service) => showService(service, view));
  return {
    id: view.record.id, name: view.record.name, ...appState(view, services), services,
    addresses: addressesOf(view),
    workingDir: view.record.spec.workingDir, files: [...view.record.spec.files],
    createdAt: timeOf(view.record.createdAt), updatedAt: timeOf(view.record.updatedAt), revision: view.revision,
  };
}

function appState(view: AppView, services: readonly Service[]): { state: App['state']; why: string } {
  if (view.record.wanted === 'down') return { state: 'removing', why: '' };
  const bad = services.find((service) => service.state === 'failed' || service.state === 'degraded');
  const error = view.status?.waitingOn.find((one) => one.kind === 'error');
  if (bad !== undefined) return { state: services.some((service) => service.replicas.ready > 0) ? 'degraded' : 'failed', why: bad.why };
  if (services.every((service) => service.state === 'running' || service.state === 'completed')) return { state: 'running', why: '' };
  if (services.every((service) => service.state === 'stopped')) return { state: 'stopped', why: '' };
  const late = services.find((service) => service.state !== 'running' && service.why !== '');
  return { state: 'deploying', why: error?.why ?? late?.why ?? '' };
}

function showService(service: ServiceSpec, view: AppView): Service {
  const state = view.status?.services.find((one) => one.name === service.name);
  const members = view.members.filter((one) => one.spec.service === service.name && !one.spec.draining);
  const running = members.filter((one) => one.status?.phase === 'running').length;
  const ready = state?.ready ?? 0;
  const stopped = members.length > 0 && members.every((one) => one.spec.wanted === 'stopped');
  return {
    name: service.name,
    state: stopped ? 'stopped' : state === undefined ? 'pending' : state.state === 'failed' && ready > 0 ? 'degraded' : serviceStates[state.state],
    why: state?.why ?? '',
    architecture: service.architecture, engine: view.record.engines[service.name]?.engine ?? null, engineWhy: view.record.engines[service.name]?.why ?? '', image: service.image.reference,
    replicas: { wanted: service.replicas, running, ready },
    address: view.places.find((one) => one.name === service.name)?.virtualAddress ?? null,
    ports: service.ports.map((port) => ({ host: port.hostAddress, hostPort: port.hostPort, containerPort: port.containerPort, protocol: port.protocol })),
  };
}

/** What a person opens: published ports first, then the name behind the gateway's own port. */
function addressesOf(view: AppView): App['addresses'] {
  const published = view.record.spec.services.flatMap((service) => service.ports
    .map((port) => ({ service: service.name, url: `${port.protocol === 'udp' ? 'udp' : port.application}://${port.hostAddress === '0.0.0.0' ? '127.0.0.1' : port.hostAddress}:${port.hostPort}` })));
  const named = view.record.spec.services.filter((service) => service.ports.some((port) => port.application === 'http'))
    .map((service) => ({ service: service.name, url: `http://${service.name}.${view.record.name}.localhost:${view.hostsPort}` }));
  return [...published, ...named];
}

export interface ContainerView extends Member {
  readonly machine: { readonly spec: MachineSpec; readonly status: MachineStatus | undefined } | undefined;
  readonly hostName: string;
  readonly service: ServiceSpec | undefined;
  /** Why its service has that engine. */
  readonly engineWhy: string;
}

export function showContainer({ spec, status, machine, hostName, service, engineWhy }: ContainerView): Container {
  return {
    id: spec.id, name: spec.name, app: spec.appName, service: spec.service, index: spec.index,
    machine: machine?.spec.name ?? spec.machineId, host: hostName, address: spec.address,
    phase: spec.draining && status?.phase === 'running' ? 'stopping' : status === undefined ? 'pending' : status.phase === 'starting' ? 'created' : status.phase,
    why: spec.draining ? 'it drains' : status?.why ?? '', health: status?.health ?? 'none',
    lastProbe: status?.lastProbe === null || status === undefined ? null : { at: timeOf(status.lastProbe.at), ok: status.lastProbe.ok, output: status.lastProbe.output },
    restarts: status?.restarts ?? 0, exitCode: status?.phase === 'running' ? null : status?.exitCode ?? null, oomKilled: status?.oomKilled ?? false,
    startedBy: status?.startedBy ?? null, startedAt: timeOrNull(status?.startedAt), finishedAt: timeOrNull(status?.finishedAt),
    image: spec.image.reference, imageDigest: spec.image.digest, command: [...spec.guest.argv],
    ports: (service?.ports ?? []).map((port) => `${port.hostPort}->${port.containerPort}/${port.protocol}`),
    architecture: spec.image.architecture, engine: machine?.status?.engine ?? null, engineWhy, isolation: machine?.status?.isolation ?? null,
  };
}

export function showVolume(volume: Volume, usedBytes: number, usedBy: string | null): VolumeView {
  return { id: volume.id, name: volume.name, app: volume.appName, sizeBytes: volume.sizeBytes, usedBytes, usedBy, createdAt: timeOf(volume.createdAt) };
}
