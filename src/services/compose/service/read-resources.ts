/** How many containers a service has, what each may take, and how it is started again. */
import type { ServiceSpec } from '../../app.ts';
import { bytesAt, keyAt, numberAt, pairsOf, wrong, type ServiceReading } from './service-reading.ts';

const mostReplicas = 1000;

export function readReplicas(reading: ServiceReading): number {
  const { scale, deploy } = reading.source;
  const range = { whole: true, most: mostReplicas };
  const scaled = numberAt(reading, scale, range, 'scale');
  const deployed = numberAt(reading, deploy?.replicas, range, 'deploy', 'replicas');
  both(reading, ['scale'], scaled, 'deploy.replicas', deployed);
  if (deploy?.mode !== undefined && deploy.mode !== 'replicated') wrong(reading, ['deploy', 'mode'], 'compose.refused', `cannot be ${JSON.stringify(deploy.mode)}`, deploy.mode === 'global' ? 'there is one host: leave it out, or say how many with replicas' : 'use replicated');
  if (deploy?.endpoint_mode !== undefined && deploy.endpoint_mode !== 'vip') wrong(reading, ['deploy', 'endpoint_mode'], 'compose.refused', `cannot be ${JSON.stringify(deploy.endpoint_mode)}`, 'a service has one virtual address; web-1 names a replica');
  const replicas = deployed ?? scaled ?? 1;
  if (replicas > 1 && reading.source.container_name !== undefined) wrong(reading, ['container_name'], 'compose.contradiction', `names one container, but there are ${replicas}`, 'take it out');
  return replicas;
}

/** Two keys say the same thing: they must agree. */
function both(reading: ServiceReading, path: readonly string[], short: number | undefined, otherName: string, other: number | undefined): void {
  if (short !== undefined && other !== undefined && short !== other) reading.project.report.error(keyAt(reading, ...path), 'compose.contradiction', `services.${reading.name}: ${path.join('.')} and ${otherName} differ`, `keep ${otherName}`);
}

export function readLimits(reading: ServiceReading): ServiceSpec['limits'] {
  const { source } = reading;
  const limits = source.deploy?.resources?.limits;
  const path = ['deploy', 'resources', 'limits'] as const;
  const cpus = [numberAt(reading, source.cpus, { most: 1024 }, 'cpus'), numberAt(reading, limits?.cpus, { most: 1024 }, ...path, 'cpus')] as const;
  const memory = [bytesAt(reading, source.mem_limit, 'mem_limit'), bytesAt(reading, limits?.memory, ...path, 'memory')] as const;
  const pids = [numberAt(reading, source.pids_limit, { whole: true, least: -1 }, 'pids_limit'), numberAt(reading, limits?.pids, { whole: true, least: -1 }, ...path, 'pids')] as const;
  both(reading, ['cpus'], cpus[0], 'deploy.resources.limits.cpus', cpus[1]);
  both(reading, ['mem_limit'], memory[0], 'deploy.resources.limits.memory', memory[1]);
  both(reading, ['pids_limit'], pids[0], 'deploy.resources.limits.pids', pids[1]);
  const memoryBytes = memory[1] ?? memory[0];
  if (memoryBytes !== undefined && memoryBytes > 0 && memoryBytes < 6 * 1024 ** 2) wrong(reading, memory[1] === undefined ? ['mem_limit'] : [...path, 'memory'], 'compose.badSize', `is ${memoryBytes} bytes: no container runs in less than 6m`, 'write a unit: 512m');
  // 0 and -1 mean no limit.
  return { ...positive('cpus', cpus[1] ?? cpus[0]), ...positive('memoryBytes', memoryBytes), ...positive('pids', pids[1] ?? pids[0]) };
}

const positive = <Key extends string>(key: Key, value: number | undefined): { readonly [K in Key]?: number } => (value !== undefined && value > 0 ? ({ [key]: value } as { [K in Key]: number }) : {});

export function readReservations(reading: ServiceReading): ServiceSpec['reservations'] {
  const reservations = reading.source.deploy?.resources?.reservations;
  const path = ['deploy', 'resources', 'reservations'] as const;
  const short = bytesAt(reading, reading.source.mem_reservation, 'mem_reservation');
  const memory = bytesAt(reading, reservations?.memory, ...path, 'memory');
  both(reading, ['mem_reservation'], short, 'deploy.resources.reservations.memory', memory);
  return { ...positive('cpus', numberAt(reading, reservations?.cpus, { most: 1024 }, ...path, 'cpus')), ...positive('memoryBytes', memory ?? short) };
}

const conditions = new Map([['none', 'no'], ['on-failure', 'on-failure'], ['any', 'always']] as const);

/** `deploy.restart_policy` wins over `restart`, as in Docker Compose. */
export function readRestart(reading: ServiceReading): ServiceSpec['restart'] {
  const { restart = 'no', deploy } = reading.source;
  const wished = deploy?.restart_policy;
  if (wished !== undefined) {
    const policy = (conditions as ReadonlyMap<string, 'no' | 'on-failure' | 'always'>).get(wished.condition ?? 'any');
    if (policy === undefined) wrong(reading, ['deploy', 'restart_policy', 'condition'], 'compose.wrongType', `must be none, on-failure or any, not ${JSON.stringify(wished.condition)}`);
    const most = numberAt(reading, wished.max_attempts, { whole: true }, 'deploy', 'restart_policy', 'max_attempts');
    if (most !== undefined && policy !== 'on-failure') wrong(reading, ['deploy', 'restart_policy', 'max_attempts'], 'compose.refused', 'counts only with condition: on-failure', 'set condition: on-failure');
    return { policy: policy ?? 'no', ...(most === undefined || most === 0 ? {} : { maxAttempts: most }) };
  }
  const parts = /^(no|always|unless-stopped|on-failure)(?::(\d{1,6}))?$/.exec(restart);
  const policy = parts?.[1] as ServiceSpec['restart']['policy'] | undefined;
  if (policy === undefined || (parts?.[2] !== undefined && policy !== 'on-failure')) {
    wrong(reading, ['restart'], 'compose.wrongType', `must be "no", always, on-failure, on-failure:3 or unless-stopped, not ${JSON.stringify(restart)}`);
    return { policy: 'no' };
  }
  return { policy, ...(Number(parts?.[2] ?? 0) > 0 ? { maxAttempts: Number(parts?.[2]) } : {}) };
}

const ulimitNames: ReadonlySet<string> = new Set(['as', 'core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nice', 'nofile', 'nproc', 'rss', 'rtprio', 'rttime', 'sigpending', 'stack']);

export function readUlimits(reading: ServiceReading): ServiceSpec['ulimits'][number][] {
  return Object.entries(reading.source.ulimits ?? {}).map(([name, value]) => {
    if (!ulimitNames.has(name)) wrong(reading, ['ulimits', name], 'compose.badName', `is no limit of Linux`, `known: ${[...ulimitNames].join(', ')}`);
    const read = (one: string | number, ...path: string[]): number => numberAt(reading, one, { whole: true, least: -1 }, 'ulimits', name, ...path) ?? 0;
    // -1 means no limit; the kernel knows it as the greatest number, which JSON cannot carry exactly.
    if (typeof value !== 'object') return { name, soft: read(value), hard: read(value) };
    const limit = { name, soft: read(value.soft, 'soft'), hard: read(value.hard, 'hard') };
    if (limit.hard !== -1 && (limit.soft === -1 || limit.soft > limit.hard)) wrong(reading, ['ulimits', name], 'compose.contradiction', 'has a soft limit above the hard one');
    return limit;
  });
}

export function readSysctls(reading: ServiceReading): Record<string, string> {
  return Object.fromEntries(pairsOf(reading.source.sysctls).map(([name, value]) => {
    if (!/^(?:net|fs\.mqueue|kernel\.(?:msg|sem|shm))[\w./-]*$/.test(name)) wrong(reading, ['sysctls', name], 'compose.refused', `${name} is not a setting of one container`, 'only net.*, fs.mqueue.*, kernel.msg*, kernel.sem and kernel.shm* can be set');
    return [name, value ?? ''];
  }));
}
