/** Reads each wanted service, and checks what no service can be checked for alone. */
import type { ServiceMount, ServiceSpec, VolumeSpec } from '../app.ts';
import type { Selection } from './select-services.ts';
import { dependencyPlace, readNetworks } from './service/read-network.ts';
import { readService } from './service/read-service.ts';
import { keyAt, pairsOf, placeAt, type ProjectReading, type ServiceReading } from './service/service-reading.ts';
import { parseBytes } from './values/parse-bytes.ts';
import { keyPlace, nearest, type TreePlace } from './yaml/tree.ts';

interface Checked { readonly reading: ServiceReading; readonly spec: ServiceSpec }

export async function checkApp(project: ProjectReading, selection: Selection): Promise<{ services: ServiceSpec[]; volumes: VolumeSpec[] }> {
  const checked: Checked[] = [];
  for (const reading of selection.wanted.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    checkName(reading);
    const spec = await readService(reading);
    if (spec !== undefined) checked.push({ reading, spec: { ...spec, dependsOn: spec.dependsOn.filter(({ service }) => !selection.dropped.has(`${reading.name} ${service}`)) } });
  }
  if (selection.names.size === 0) project.report.error(keyPlace(project.tree, ['services']), 'compose.noServices', 'the file has no services', 'add `services:`');
  else if (selection.wanted.length === 0 && !project.report.failed) project.report.error(keyPlace(project.tree, ['services']), 'compose.noServices', 'every service belongs to a profile that is not active', 'use --profile');
  checkCycles(checked, project);
  checkHealthWaits(checked, project);
  checkPublished(checked, project);
  checkTargets(checked, project);
  checkAliases(checked, project);
  checkNetworkDrivers(project);
  checkNetworks(selection.wanted, project);
  checkWriters(checked, project);
  return { services: checked.map(({ spec }) => spec), volumes: readVolumes(checked, project) };
}

/** A service's name is a host name, and part of its containers' names. */
function checkName(reading: ServiceReading): void {
  const { name, project } = reading;
  // Names with other characters have been refused already.
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name) || !/^[a-zA-Z0-9._-]{1,255}$/.test(name)) return;
  const better = name.toLowerCase().replaceAll(/[._]/g, '-').replaceAll(/^-+|-+$/g, '').slice(0, 63);
  project.report.error(keyAt({ ...reading, tree: project.tree }, 'services', name), 'compose.badName', `${JSON.stringify(name)} cannot be a service's name: it is a host name too`, `call it ${better}`);
}

/** Says each cycle once, with its path. */
function checkCycles(checked: readonly Checked[], { report }: ProjectReading): void {
  const byName = new Map(checked.map((one) => [one.spec.name, one]));
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    const here = byName.get(name);
    if (here === undefined || done.has(name)) return;
    for (const { service } of here.spec.dependsOn) {
      const whole = [...path, name];
      const start = whole.indexOf(service);
      if (start >= 0) report.error(dependencyPlace(here.reading, service), 'compose.cycle', `services wait for each other: ${[...whole.slice(start), service].join(' → ')}`, 'take one depends_on away');
      else visit(service, whole);
    }
    done.add(name);
  };
  for (const name of byName.keys()) visit(name, []);
}

/** Waiting for a health that nobody asks about would never end. */
function checkHealthWaits(checked: readonly Checked[], { report }: ProjectReading): void {
  const byName = new Map(checked.map(({ spec }) => [spec.name, spec]));
  for (const { reading, spec } of checked) {
    for (const { service, condition } of spec.dependsOn) {
      if (condition === 'healthy' && byName.get(service)?.healthcheck === 'none') report.error(dependencyPlace(reading, service), 'compose.contradiction', `service ${spec.name} waits until ${service} is healthy, but the health check of ${service} is disabled`, `give ${service} a healthcheck, or wait for service_started`);
    }
  }
}

function checkPublished(checked: readonly Checked[], { report }: ProjectReading): void {
  const taken: { port: number; address: string; service: string }[] = [];
  for (const { reading, spec } of checked) {
    for (const { hostPort: port, hostAddress: address } of spec.ports) {
      if (port === 0) continue;
      const other = taken.find((one) => one.port === port && (one.address === address || isAny(one.address) || isAny(address)));
      if (other !== undefined) report.error(placeOfPort(reading, port), 'compose.duplicatePort', `port ${port} of the host is published twice: by ${other.service} and by ${spec.name}`, 'publish another port');
      taken.push({ port, address, service: spec.name });
    }
  }
}

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::';

/** The last mapping that names the port: the earlier one is the one already taken. */
function placeOfPort(reading: ServiceReading, port: number): TreePlace {
  const index = (reading.source.ports ?? []).findLastIndex((one) => String(typeof one === 'object' ? one.published : one).includes(String(port)));
  return index < 0 ? placeAt(reading, 'ports') : placeAt(reading, 'ports', index);
}

const mountKeys = ['volumes', 'tmpfs', 'configs', 'secrets'] as const;

/** One thing at each path. */
function checkTargets(checked: readonly Checked[], { report }: ProjectReading): void {
  for (const { reading, spec } of checked) {
    const seen = new Set<string>();
    for (const { target } of [...spec.mounts, ...spec.files]) {
      if (seen.has(target)) report.error(keyAt(reading, mountKeys.findLast((key) => reading.source[key] !== undefined) ?? 'volumes'), 'compose.duplicateMount', `service ${spec.name} has two things mounted at ${target}`, 'keep one of them');
      seen.add(target);
    }
  }
}

function checkAliases(checked: readonly Checked[], { report }: ProjectReading): void {
  const owner = new Map(checked.map(({ spec }) => [spec.name, spec.name]));
  for (const { reading, spec } of checked) {
    for (const alias of spec.aliases) {
      const other = owner.get(alias);
      if (other !== undefined && other !== spec.name) report.error(placeAt(reading, reading.source.container_name === alias ? 'container_name' : 'networks'), 'compose.duplicateName', `${alias} would be a name of both ${other} and ${spec.name}`, 'give one of them another name');
      else owner.set(alias, spec.name);
    }
  }
}

/** No network has another driver than the one there is. */
function checkNetworkDrivers({ networks, tree, report }: ProjectReading): void {
  for (const [name, source] of networks) {
    if (source?.driver !== undefined && !['bridge', 'default'].includes(source.driver)) report.error(nearest(tree, ['networks', name, 'driver']).place, 'compose.refused', `networks.${name}.driver cannot be ${JSON.stringify(source.driver)}`, 'leave it out');
  }
}

/** Services of an app reach each other; where Compose would keep them apart, that is said. */
function checkNetworks(wanted: readonly ServiceReading[], { report }: ProjectReading): void {
  const networks = wanted.map((reading) => ({ reading, names: new Set(readNetworks(reading)) }));
  for (const [index, one] of networks.entries()) {
    const apart = networks.slice(index + 1).filter((other) => other.names.isDisjointFrom(one.names)).map((other) => other.reading.name);
    if (apart.length > 0) report.warn(keyAt(one.reading, 'networks'), 'compose.networkNotSeparate', `${one.reading.name} can reach ${apart.join(', ')} although they share no network: the services of an app are not kept apart yet`, 'put what must be apart into another app');
  }
}

/** A volume is a disk: one file system, one machine, one writer. */
function checkWriters(checked: readonly Checked[], { report }: ProjectReading): void {
  const users = new Map<string, string>();
  for (const { reading, spec } of checked) {
    for (const [volume, mount] of new Map(spec.mounts.flatMap((one) => (one.kind === 'volume' ? [[one.volume, one] as const] : [])))) {
      const place = placeOfMount(reading, mount);
      const other = users.get(volume);
      if (other !== undefined) report.error(place, 'compose.volumeTwoWriters', `volume ${volume} with two writers: services ${other} and ${spec.name} both mount it, and a volume belongs to one container`, 'give each its own volume, and let one serve the other over the network');
      else if (spec.replicas > 1) report.error(place, 'compose.volumeTwoWriters', `volume ${volume} with two writers: service ${spec.name} has ${spec.replicas} replicas, and a volume belongs to one container`, 'set replicas to 1, or keep the data in another service');
      else users.set(volume, spec.name);
    }
  }
}

function placeOfMount(reading: ServiceReading, mount: Extract<ServiceMount, { kind: 'volume' }>): TreePlace {
  const index = (reading.source.volumes ?? []).findIndex((one) => (typeof one === 'string' ? one.startsWith(`${mount.volume}:`) : one.source === mount.volume));
  return placeAt(reading, 'volumes', Math.max(0, index));
}

/** Only volumes that somebody mounts are made. */
function readVolumes(checked: readonly Checked[], project: ProjectReading): VolumeSpec[] {
  const used = new Set(checked.flatMap(({ spec }) => spec.mounts.flatMap((mount) => (mount.kind === 'volume' ? [mount.volume] : []))));
  return [...project.volumes].filter(([name]) => used.has(name)).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, source]) => {
    const place = (...path: string[]): TreePlace => nearest(project.tree, ['volumes', name, ...path]).place;
    if (source?.driver !== undefined && source.driver !== 'local') project.report.error(place('driver'), 'compose.refused', `volumes.${name}.driver cannot be ${JSON.stringify(source.driver)}`, 'leave it out, or write local');
    return { name, external: false, sizeBytes: sizeOf(name, source?.['x-strata']?.size, place('x-strata', 'size'), project), labels: Object.fromEntries(pairsOf(source?.labels).map(([label, value]) => [label, value ?? ''])) };
  });
}

/** The disk is sparse: it takes what is written. */
const defaultVolumeBytes = 8 * 1024 ** 3;
const leastVolumeBytes = 16 * 1024 ** 2;
const mostVolumeBytes = 64 * 1024 ** 4;

function sizeOf(name: string, written: string | number | undefined, place: TreePlace, { report }: ProjectReading): number {
  if (written === undefined) return defaultVolumeBytes;
  const bytes = parseBytes(written);
  if (bytes !== undefined && bytes >= leastVolumeBytes && bytes <= mostVolumeBytes) return bytes;
  report.error(place, 'compose.badSize', `volumes.${name}.x-strata.size must be a size from 16m to 64t, not ${JSON.stringify(written)}`, 'write 10g');
  return defaultVolumeBytes;
}
