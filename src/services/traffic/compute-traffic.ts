/**
 * What kernel, gateway and edge must do, as three values computed from records alone. Pure, and whole each
 * time: there is no incremental state that could drift.
 *
 * A replica takes traffic when it is ready and not draining. A name of a service resolves to its virtual
 * address as soon as a container of it runs where there is no health check, and once one is ready
 * where there is one; `<service>-<n>` resolves to that replica while it runs.
 */
import type { ContainerSpec, ContainerStatus } from '#containers';
import type { HostNetworkState, VirtualAddress } from '#pool';
import type { AppRecord, ServiceRecord } from '../app-record.ts';
import type { ServiceSpec } from '../app.ts';
import type { EdgeState } from '../edge/edge-state.ts';
import type { GatewayBackend, GatewayBind, GatewayState } from '../gateway/gateway.ts';

export interface TrafficInput {
  readonly apps: readonly AppRecord[];
  readonly services: readonly ServiceRecord[];
  readonly containers: readonly { readonly spec: ContainerSpec; readonly status: ContainerStatus | undefined }[];
  /** Machines' own addresses. */
  readonly machines: readonly { readonly id: string; readonly address: string | null; readonly project: string | null; readonly name: string }[];
  readonly gatewayAddress: string;
  /** The one port that routes `<service>.<app>.localhost`. */
  readonly hostsPort: number;
  readonly upstreamDns: readonly string[];
}

export interface Traffic {
  readonly network: HostNetworkState;
  readonly gateway: GatewayState;
  readonly edge: EdgeState;
}

type Member = TrafficInput['containers'][number];
interface Target { readonly app: AppRecord; readonly service: ServiceSpec; readonly record: ServiceRecord; readonly members: readonly Member[] }

const parkLimit = 512;
const parkTimeoutMs = 30_000;
/** Clients of a published UDP port at once, and after how much silence a client is another one (RFC 4787 asks for two minutes at least). */
const datagramClients = 1024;
const datagramIdleMs = 120_000;

export function computeTraffic(input: TrafficInput): Traffic {
  const targets = targetsOf(input);
  return {
    network: { endpoints: endpointsOf(input), virtualAddresses: targets.map(virtualAddressOf) },
    gateway: gatewayOf(targets, input.hostsPort),
    edge: edgeOf(targets, input),
  };
}

/** Ports a service is known to listen on: published, exposed; each can be parked and routed. */
export function portsOf(service: ServiceSpec): { readonly port: number; readonly protocol: 'tcp' | 'udp'; readonly application: 'http' | 'tcp' }[] {
  const known = new Map<string, { port: number; protocol: 'tcp' | 'udp'; application: 'http' | 'tcp' }>();
  for (const { containerPort, protocol, application } of service.ports) known.set(`${containerPort}/${protocol}`, { port: containerPort, protocol, application });
  for (const { port, protocol } of service.expose) {
    if (!known.has(`${port}/${protocol}`)) known.set(`${port}/${protocol}`, { port, protocol, application: isWebPort(port) ? 'http' : 'tcp' });
  }
  return [...known.values()].sort((a, b) => a.port - b.port);
}

function isWebPort(port: number): boolean {
  return [80, 3000, 5000, 8000, 8080, 8888].includes(port);
}

function targetsOf(input: TrafficInput): Target[] {
  return input.apps.filter((app) => app.wanted === 'up').flatMap((app) => app.spec.services.flatMap((service) => {
    const record = input.services.find((one) => one.appId === app.id && one.name === service.name);
    if (record === undefined) return [];
    const members = input.containers.filter((one) => one.spec.appId === app.id && one.spec.service === service.name);
    return [{ app, service, record, members }];
  }));
}

function isReady(one: Member): boolean {
  const status = one.status;
  return !one.spec.draining && one.spec.wanted === 'running' && status?.phase === 'running' && (status.health === 'healthy' || status.health === 'none');
}

function endpointsOf(input: TrafficInput): HostNetworkState['endpoints'] {
  const containers = input.containers.map(({ spec }) => ({ address: spec.address, machineId: spec.machineId, project: spec.appId }));
  const machines = input.machines.flatMap((machine) => (machine.address === null ? [] : [{ address: machine.address, machineId: machine.id, project: machine.project }]));
  return [...containers, ...machines].sort((a, b) => (a.address < b.address ? -1 : 1));
}

function virtualAddressOf(target: Target): VirtualAddress {
  return {
    address: target.record.virtualAddress,
    project: target.app.id,
    ports: portsOf(target.service).map(({ port, protocol }) => ({ port, protocol })),
    backends: target.members.filter(isReady).map((one) => one.spec.address).sort(),
    parking: Object.fromEntries(Object.entries(target.record.parking).map(([port, edge]) => [Number(port), edge])),
  };
}

function gatewayOf(targets: readonly Target[], hostsPort: number): GatewayState {
  const backends: GatewayBackend[] = [];
  const binds: GatewayBind[] = [];
  const routes: Record<string, string> = {};
  for (const target of targets) {
    const ports = portsOf(target.service).filter((one) => one.protocol === 'tcp');
    for (const { port, application } of ports) {
      const name = `${target.app.name}_${target.service.name}_${port}`.toLowerCase();
      backends.push({
        name, mode: application, parkingPort: target.record.parking[String(port)] ?? null,
        servers: target.members.filter((one) => isReady(one) || (one.spec.draining && one.status?.phase === 'running'))
          .map((one) => ({ name: one.spec.id, address: one.spec.address, port, state: one.spec.draining ? 'drain' as const : 'ready' as const, weight: 100 })),
      });
      binds.push(...target.service.ports.filter((one) => one.containerPort === port && one.protocol === 'tcp' && one.hostPort > 0)
        .map((one) => ({ address: one.hostAddress, port: one.hostPort, backend: name })));
    }
    const web = ports.find((one) => one.application === 'http');
    if (web !== undefined) routes[`${target.service.name}.${target.app.name}.localhost`] = `${target.app.name}_${target.service.name}_${web.port}`.toLowerCase();
  }
  return { backends, binds, hosts: { port: hostsPort, routes } };
}

function edgeOf(targets: readonly Target[], input: TrafficInput): EdgeState {
  const names: Record<string, string[]> = {};
  const domains: Record<string, string> = {};
  for (const target of targets) addNames(names, target);
  for (const machine of input.machines) if (machine.address !== null) names[`${machine.name}.internal`] = [machine.address];
  for (const { spec } of input.containers) domains[spec.address] = `${spec.appName}.internal`;
  const parking = targets.flatMap((target) => Object.entries(target.record.parking).map(([port, edgePort]) => ({
    id: `${target.app.id}.${target.service.name}.${port}`,
    port: edgePort,
    ready: target.members.filter(isReady).map((one) => ({ address: one.spec.address, port: Number(port) })),
    limit: parkLimit,
    timeoutMs: parkTimeoutMs,
    mode: portsOf(target.service).find((one) => one.port === Number(port))?.application ?? 'tcp' as const,
  })));
  const datagrams = targets.flatMap((target) => target.service.ports.filter((one) => one.protocol === 'udp' && one.hostPort > 0).map((one) => ({
    id: `${target.app.id}.${target.service.name}.${one.hostAddress}.${one.hostPort}`,
    address: one.hostAddress, port: one.hostPort,
    ready: target.members.filter(isReady).map(({ spec }) => ({ address: spec.address, port: one.containerPort })),
    limit: datagramClients, idleMs: datagramIdleMs,
  })));
  return { gateway: input.gatewayAddress, names, domains, parking, ...(datagrams.length === 0 ? {} : { datagrams }), upstream: [...input.upstreamDns] };
}

function addNames(names: Record<string, string[]>, target: Target): void {
  const domain = `${target.app.name}.internal`;
  const running = target.members.filter((one) => one.status?.phase === 'running');
  const checked = target.members.some((one) => one.spec.guest.health !== null);
  // A service that was ready and is not now keeps its name: its virtual address parks.
  const resolvable = checked ? running.some((one) => one.status?.health === 'healthy') || running.some((one) => (one.status?.restarts ?? 0) > 0) : target.members.length > 0;
  if (resolvable) for (const name of [target.service.name, ...target.service.aliases]) names[`${name}.${domain}`] = [target.record.virtualAddress];
  for (const one of running) if (!one.spec.draining) names[`${target.service.name}-${one.spec.index}.${domain}`] = [one.spec.address];
}
