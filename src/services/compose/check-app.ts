/** Checks what no service can be checked for alone: cycles, host ports, names, networks, one writer for a volume. */
import type { ServiceMount, ServiceSpec } from '../app.ts';
import { dependencyPlace, readNetworks } from './service/read-network.ts';
import { keyAt, placeAt, type ProjectReading, type ServiceReading } from './service/service-reading.ts';
import { keyPlace, nearest, type TreePlace } from './yaml/tree.ts';

/** A service as written, and as it was read. */
export interface Checked { readonly reading: ServiceReading; readonly spec: ServiceSpec }

/** @param wanted also those that could not be read */
export function checkApp(checked: readonly Checked[], wanted: readonly ServiceReading[], project: ProjectReading): void {
  checkCycles(checked, project);
  checkHealthWaits(checked, project);
  checkPublished(checked, project);
  checkTargets(checked, project);
  checkAliases(checked, project);
  checkNetworkDrivers(project);
  checkNetworks(wanted, project);
  checkWriters(checked, project);
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
  const taken: { port: number; address: string; protocol: string; service: string }[] = [];
  for (const { reading, spec } of checked) {
    for (const { hostPort: port, hostAddress: address, protocol } of spec.ports) {
      if (port === 0) continue;
      const other = taken.find((one) => one.port === port && one.protocol === protocol && (one.address === address || isAny(one.address) || isAny(address)));
      if (other !== undefined) report.error(placeOfPort(reading, port), 'compose.duplicatePort', `port ${port} of the host is published twice: by ${other.service} and by ${spec.name}`, 'publish another port');
      taken.push({ port, address, protocol, service: spec.name });
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

/** Services of an app reach each other; where Compose would keep them apart, that is said, once. */
function checkNetworks(wanted: readonly ServiceReading[], { tree, report }: ProjectReading): void {
  const networks = wanted.map((reading) => ({ name: reading.name, on: new Set(readNetworks(reading)) }));
  const apart = networks.flatMap((one, index) => networks.slice(index + 1).filter((other) => other.on.isDisjointFrom(one.on)).map((other) => `${one.name} and ${other.name}`));
  if (apart.length === 0) return;
  const more = apart.length === 1 ? '' : ` (and ${apart.length - 1} other pairs)`;
  report.warn(keyPlace(tree, ['networks']), 'compose.networkNotSeparate', `${apart[0]}${more} share no network, and can reach each other all the same: the services of an app are not kept apart yet`, 'put what must be apart into another app');
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
