/**
 * Which services are wanted: those without profiles and those of an active one; and where services are named,
 * only these and what they depend on, whatever their profiles.
 */
import { StrataError } from '#base';
import { namedParts } from './read-project.ts';
import { parseLeniently } from './schema/parse-leniently.ts';
import { serviceSchema } from './schema/service-schema.ts';
import { dependencyPlace, readDependencies } from './service/read-network.ts';
import type { ProjectReading, ServiceReading } from './service/service-reading.ts';
import { nearestName } from './values/nearest-name.ts';
import { keyPlace, plain } from './yaml/tree.ts';

export interface Selection {
  readonly wanted: readonly ServiceReading[];
  /** Every name in the file. */
  readonly names: ReadonlySet<string>;
  /** Services that can be read and are not wanted. */
  readonly idle: ReadonlySet<string>;
  /** Dependencies that are not required and not there: left out. */
  readonly dropped: ReadonlySet<string>;
}

const mostServices = 256;

export function selectServices(project: ProjectReading, { profiles, services }: { readonly profiles: readonly string[]; readonly services: readonly string[] }): Selection {
  const all = namedParts(project.tree, 'services');
  const parts = all.slice(0, mostServices);
  if (all.length > mostServices) project.report.error(keyPlace(project.tree, ['services']), 'compose.tooLarge', `the file has ${all.length} services; at most ${mostServices} are read`, 'make several apps of it');
  const names = new Set(parts.map(([name]) => name));
  const readings = new Map<string, ServiceReading>();
  for (const [name, tree] of parts) {
    const source = parseLeniently(serviceSchema, plain(tree));
    if (source !== undefined) readings.set(name, { project, name, source, tree });
  }
  for (const name of services) if (!names.has(name)) throw unknown(name, names);
  const active = new Set([...profiles]);
  for (const name of services) for (const profile of readings.get(name)?.source.profiles ?? []) active.add(profile);
  const enabled = new Set([...readings.values()].filter(({ source: { profiles: own = [] } }) => own.length === 0 || active.has('*') || own.some((one) => active.has(one))).map(({ name }) => name));
  const wanted = new Set<string>();
  const dropped = new Set<string>();
  for (const name of services.length > 0 ? services : enabled) follow(name, { project, readings, names, enabled, wanted, dropped });
  return { wanted: [...wanted].map((name) => readings.get(name)).filter((one): one is ServiceReading => one !== undefined), names, dropped, idle: new Set([...readings.keys()].filter((name) => !wanted.has(name))) };
}

interface Following {
  readonly project: ProjectReading;
  readonly readings: ReadonlyMap<string, ServiceReading>;
  readonly names: ReadonlySet<string>;
  readonly enabled: ReadonlySet<string>;
  readonly wanted: Set<string>;
  readonly dropped: Set<string>;
}

function follow(start: string, following: Following): void {
  const { project, readings, names, enabled, wanted, dropped } = following;
  const waiting = [start];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const reading = readings.get(name);
    if (reading === undefined || wanted.has(name)) continue;
    wanted.add(name);
    for (const { service, required } of readDependencies(reading)) {
      if (enabled.has(service) || (names.has(service) && !readings.has(service))) waiting.push(service);
      else if (!required) dropped.add(`${name} ${service}`);
      else if (names.has(service)) project.report.error(dependencyPlace(reading, service), 'compose.profileOff', `service ${name} depends on ${service}, whose profile is not active`, `use --profile ${readings.get(service)?.source.profiles?.[0] ?? ''}, or say required: false`);
      else project.report.error(dependencyPlace(reading, service), 'compose.unknownService', `service ${name} depends on ${service}, which the file does not have`, near(service, names));
    }
  }
}

function near(name: string, names: ReadonlySet<string>): string {
  const found = nearestName(name, names);
  return found === undefined ? `services: ${[...names].slice(0, 12).join(', ')}` : `did you mean ${found}?`;
}

function unknown(name: string, names: ReadonlySet<string>): StrataError {
  return new StrataError(`there is no service ${name} in the Compose file`, { code: 'compose.unknownService', kind: 'invalid', advice: near(name, names) });
}
