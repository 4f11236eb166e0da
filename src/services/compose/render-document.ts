/**
 * The resolved project as `strata config` prints it: one plain object in long form that is a Compose file again.
 * Secrets stand there by where they come from, never by what they hold; dollar signs are doubled.
 */
import type { AppSpec, ServiceSpec } from '../app.ts';
import { resolvePath } from './load-documents.ts';
import { namedParts } from './read-project.ts';
import { sourcePlace } from './service/read-mounts.ts';
import { readNetworks } from './service/read-network.ts';
import type { ProjectReading, ServiceReading } from './service/service-reading.ts';
import { parseMount } from './values/parse-mount.ts';
import { nearest, plain } from './yaml/tree.ts';

type Plain = Record<string, unknown>;

export function renderDocument(project: ProjectReading, app: AppSpec, wanted: readonly ServiceReading[]): Readonly<Plain> {
  const readings = new Map(wanted.map((reading) => [reading.name, reading]));
  const services = Object.fromEntries(app.services.map((spec) => [spec.name, renderService(spec, readings.get(spec.name) as ServiceReading)]));
  const networks = [...new Set(wanted.flatMap(readNetworks))].toSorted();
  const extensions = Object.fromEntries([...project.tree.entries].filter(([key]) => key.startsWith('x-')).map(([key, { value }]) => [key, plain(value)]));
  const used = (kind: 'configs' | 'secrets'): Plain => renderFiles(project, kind, new Set(app.services.flatMap((spec) => spec.files.map((file) => file.name))));
  return escaped({
    name: app.name,
    services,
    networks: Object.fromEntries(networks.map((name) => [name, { name: `${app.name}_${name}` }])),
    ...unlessEmpty('volumes', Object.fromEntries(app.volumes.map((volume) => [volume.name, { ...unlessEmpty('labels', volume.labels), 'x-strata': { size: volume.sizeBytes } }]))),
    ...unlessEmpty('configs', used('configs')), ...unlessEmpty('secrets', used('secrets')),
    ...extensions,
  }) as Plain;
}

function renderService(spec: ServiceSpec, reading: ServiceReading): Plain {
  const { env_file: _envFile, label_file: _labelFile, links: _links, scale: _scale, ...written } = plain(reading.tree) as Plain;
  const networks = Object.fromEntries(readNetworks(reading).map((name) => [name, plain(nearestNetwork(reading, name))]));
  const long: Plain = {
    ...written,
    ...unlessEmpty('environment', spec.environment), ...unlessEmpty('labels', spec.labels),
    ...(spec.command === null ? {} : { command: spec.command }), ...(spec.entrypoint === null ? {} : { entrypoint: spec.entrypoint }),
    ...(written['build'] === undefined ? {} : { build: renderBuild(written['build'], reading) }),
    ...unlessEmpty('ports', spec.ports.map((port) => ({ mode: 'ingress', ...(port.hostAddress === '0.0.0.0' ? {} : { host_ip: port.hostAddress }), target: port.containerPort, ...(port.hostPort === 0 ? {} : { published: String(port.hostPort) }), protocol: port.protocol, ...(port.application === 'http' ? { app_protocol: 'http' } : {}) }))),
    ...unlessEmpty('expose', spec.expose.map(({ port, protocol }) => (protocol === 'tcp' ? String(port) : `${port}/${protocol}`))),
    ...unlessEmpty('volumes', (reading.source.volumes ?? []).map((mount, index) => renderMount(mount, index, reading))),
    ...unlessEmpty('depends_on', Object.fromEntries(spec.dependsOn.map(({ service, condition, required, restart }) => [service, { condition: conditionNames[condition], ...(restart ? { restart } : {}), required }]))),
    ...unlessEmpty('configs', grants(reading.source.configs)), ...unlessEmpty('secrets', grants(reading.source.secrets)),
    networks,
  };
  return Object.fromEntries(Object.entries(long).filter(([, value]) => value !== undefined).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const conditionNames = { started: 'service_started', healthy: 'service_healthy', completed: 'service_completed_successfully' } as const;

const grants = (written: ServiceReading['source']['configs']): unknown[] => (written ?? []).map((one) => (typeof one === 'string' ? { source: one } : one));

const nearestNetwork = (reading: ServiceReading, name: string): ReturnType<typeof nearest> => {
  const found = reading.tree.kind === 'map' ? reading.tree.entries.get('networks')?.value : undefined;
  const use = found?.kind === 'map' ? found.entries.get(name)?.value : undefined;
  return use ?? { kind: 'scalar', value: null, place: reading.tree.place, weight: 1 };
};

function renderBuild(build: unknown, reading: ServiceReading): Plain {
  const long: Plain = typeof build === 'string' ? { context: build } : { context: '.', ...(build as Plain) };
  return { ...long, context: resolvePath(String(long['context']), nearest(reading.tree, ['build', 'context']).place, reading.project.home) };
}

function renderMount(mount: NonNullable<ServiceReading['source']['volumes']>[number], index: number, reading: ServiceReading): unknown {
  const long = typeof mount === 'string' ? longMount(mount) : { ...mount };
  if (long['type'] === 'bind') long['source'] = resolvePath(String(long['source']), sourcePlace(reading, index), reading.project.home);
  return long;
}

function longMount(text: string): Plain {
  const short = parseMount(text);
  return { type: short?.kind, source: short?.source, target: short?.target, ...(short?.options.includes('ro') === true ? { read_only: true } : {}) };
}

/** Where the content comes from. A secret cannot hold any itself. */
function renderFiles(project: ProjectReading, kind: 'configs' | 'secrets', used: ReadonlySet<string>): Plain {
  return Object.fromEntries(namedParts(project.tree, kind).filter(([name]) => used.has(name)).map(([name, node]) => {
    const written = plain(node) as Plain;
    const file = typeof written['file'] === 'string' ? { file: resolvePath(written['file'], nearest(node, ['file']).place, project.home) } : {};
    return [name, { name: `${project.name}_${name}`, ...written, ...file }];
  }));
}

const unlessEmpty = (key: string, value: object): Plain => (Object.keys(value).length === 0 ? {} : { [key]: value });

/** As `docker compose config` does it: what is printed can be read again. */
function escaped(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('$', '$$$$');
  if (Array.isArray(value)) return value.map(escaped);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, escaped(one)]));
  return value;
}
