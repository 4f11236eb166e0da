/**
 * What a host runs, as numbers that a monitoring system keeps: pure, from what the API tells of each thing. Names and units
 * as Prometheus asks for them (prometheus.io/docs/practices/naming): base units, counters end in `_total`; labels are names,
 * never ids, so that a thing made anew goes on where the one before ended.
 */
import type { App, Container, Host, Machine, PooledMachines, Version } from '#contract';

export interface MetricsSeen {
  readonly version: Version;
  readonly hosts: readonly Host[];
  readonly machines: readonly Machine[];
  readonly pool: readonly PooledMachines[];
  readonly apps: readonly App[];
  readonly containers: readonly Container[];
  /** Of the daemon itself. */
  readonly process: { readonly cpuSeconds: number; readonly residentBytes: number };
}

export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly kind: 'gauge' | 'counter';
  readonly samples: readonly Sample[];
}
interface Sample { readonly labels: Readonly<Record<string, string>>; readonly value: number }

export function listMetrics(seen: MetricsSeen): readonly Metric[] {
  return [...ofDaemon(seen), ...ofHosts(seen.hosts), ...ofMachines(seen.machines), ...ofPool(seen.pool), ...ofApps(seen.apps), ...ofContainers(seen.containers)];
}

const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({ name, help, kind: 'gauge', samples });
const counter = (name: string, help: string, samples: readonly Sample[]): Metric => ({ name, help, kind: 'counter', samples });
const seconds = (time: string): number => Date.parse(time) / 1000;

function ofDaemon({ version, process }: MetricsSeen): Metric[] {
  const one = (value: number): Sample[] => [{ labels: {}, value }];
  return [
    gauge('strata_build_info', 'Version of the daemon; always 1', [{ labels: { version: version.version, node: version.node }, value: 1 }]),
    gauge('process_start_time_seconds', 'When the daemon started', one(seconds(version.startedAt))),
    gauge('process_resident_memory_bytes', 'Memory of the daemon itself', one(process.residentBytes)),
    counter('process_cpu_seconds_total', 'Processor time of the daemon itself', one(process.cpuSeconds)),
  ];
}

function ofHosts(hosts: readonly Host[]): Metric[] {
  const each = (value: (host: Host) => number): Sample[] => hosts.map((host) => ({ labels: { host: host.name }, value: value(host) }));
  return [
    gauge('strata_host_processors', 'Processors of the host', each((host) => host.processors.total)),
    gauge('strata_host_processors_promised', 'Processors promised to machines that run', each((host) => host.processors.promised)),
    gauge('strata_host_load1', 'Load average of one minute', each((host) => host.processors.load1)),
    gauge('strata_host_memory_bytes', 'Memory of the host', each((host) => host.memory.totalBytes)),
    gauge('strata_host_memory_promised_bytes', 'Memory promised to machines that run', each((host) => host.memory.promisedBytes)),
    gauge('strata_host_memory_available_bytes', 'Free memory by the kernel\'s own estimate', each((host) => host.memory.availableBytes)),
    gauge('strata_host_disk_bytes', 'Size of the file system that holds the state', each((host) => host.disk.totalBytes)),
    gauge('strata_host_disk_available_bytes', 'What is free of it', each((host) => host.disk.availableBytes)),
  ];
}

function ofMachines(machines: readonly Machine[]): Metric[] {
  const labelsOf = ({ architecture, engine, phase }: Machine) => ({ architecture, engine: engine ?? '', phase });
  const booted = machines.flatMap((machine) => (machine.bootMs === null ? [] : [{ labels: { machine: machine.name, way: machine.startedBy?.way ?? '' }, value: machine.bootMs / 1000 }]));
  return [
    gauge('strata_machines', 'Machines by architecture, engine and phase', counted(machines.map(labelsOf))),
    gauge('strata_machine_start_seconds', 'From the last start of a machine to its agent\'s answer, and how it was started', booted),
    counter('strata_machine_restarts_total', 'Times a machine was started again by itself', machines.map((machine) => ({ labels: { machine: machine.name }, value: machine.restarts }))),
  ];
}

function ofPool(pool: readonly PooledMachines[]): Metric[] {
  const each = (value: (shape: PooledMachines) => number | null): Sample[] => pool.flatMap((shape) => {
    const [labels, number] = [{ engine: shape.engine, architecture: shape.architecture, processors: String(shape.processors), memory_mib: String(shape.memoryMiB), scratch_mib: String(shape.scratchMiB), card: String(shape.card) }, value(shape)];
    return number === null ? [] : [{ labels, value: number }];
  });
  return [
    gauge('strata_pool_size', 'Paused machines that are wanted, by shape', each((shape) => shape.size)),
    gauge('strata_pool_ready', 'Paused machines that there are', each((shape) => shape.ready)),
    gauge('strata_pool_held_bytes', 'Memory the host has back when they end', each((shape) => shape.heldBytes)),
    counter('strata_pool_hits_total', 'Starts that took one', each((shape) => shape.hits)),
    counter('strata_pool_misses_total', 'Starts that found none', each((shape) => shape.misses)),
    counter('strata_pool_refills_total', 'How many were made', each((shape) => shape.refills)),
    gauge('strata_pool_refill_seconds', 'How long the last took in the background', each((shape) => (shape.refillMs === null ? null : shape.refillMs / 1000))),
  ];
}

function ofApps(apps: readonly App[]): Metric[] {
  const each = (what: 'wanted' | 'running' | 'ready'): Sample[] => apps.flatMap((app) => app.services.map((service) => ({ labels: { app: app.name, service: service.name }, value: service.replicas[what] })));
  return [
    gauge('strata_service_replicas_wanted', 'Replicas that the file asks for', each('wanted')),
    gauge('strata_service_replicas_running', 'Replicas that run', each('running')),
    gauge('strata_service_replicas_ready', 'Replicas that take traffic', each('ready')),
  ];
}

function ofContainers(containers: readonly Container[]): Metric[] {
  return [counter('strata_container_restarts_total', 'Times a container was started again by itself', containers.map(({ app, service, index, restarts }) => ({ labels: { app, service, replica: String(index) }, value: restarts })))];
}

/** How often each occurs. */
function counted(all: readonly Readonly<Record<string, string>>[]): Sample[] {
  const found = new Map<string, { labels: Readonly<Record<string, string>>; value: number }>();
  for (const labels of all) {
    const key = JSON.stringify(labels);
    found.set(key, { labels, value: (found.get(key)?.value ?? 0) + 1 });
  }
  return [...found.values()];
}
