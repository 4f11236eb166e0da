/**
 * What `up` of some services means for the whole app, and what becomes of services the file no longer has: pure.
 *
 * As compose: `up web` touches web and what it depends on and leaves the others as they are; a service that
 * left the file (an orphan) goes on until it is asked to go.
 */
import { StrataError } from '#base';
import type { AppSpec, ServiceSpec } from './app.ts';

export interface Selection {
  readonly app: AppSpec;
  /** Services that go on although the file no longer has them. */
  readonly orphans: readonly string[];
}

export interface SelectOptions {
  /** Empty: all of the file. */
  readonly services: readonly string[];
  readonly removeOrphans: boolean;
}

/** @throws StrataError `service.notFound` for a service that is neither in the file nor running */
export function selectServices(file: AppSpec, running: AppSpec | undefined, options: SelectOptions): Selection {
  const chosen = options.services.length === 0 ? new Set(file.services.map((one) => one.name)) : withDependencies(file, options.services);
  const inFile = new Set(file.services.map((one) => one.name));
  const others = (running?.services ?? []).filter((one) => !chosen.has(one.name));
  const orphans = others.filter((one) => !inFile.has(one.name));
  // An `up` of some services was read for them alone: it says nothing of the others.
  const partial = options.services.length > 0;
  const kept = others.filter((one) => partial || inFile.has(one.name) || !options.removeOrphans);
  const services = [...file.services.filter((one) => chosen.has(one.name)), ...kept].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { app: { ...file, services, volumes: volumesOf(file, running, services) }, orphans: partial || options.removeOrphans ? [] : orphans.map((one) => one.name) };
}

function withDependencies(file: AppSpec, names: readonly string[]): Set<string> {
  const byName = new Map(file.services.map((one) => [one.name, one]));
  const chosen = new Set<string>();
  const add = (name: string): void => {
    if (chosen.has(name)) return;
    const service = byName.get(name);
    if (service === undefined) throw new StrataError(`the app ${file.name} has no service ${name}`, { code: 'service.notFound', kind: 'invalid', advice: `it has: ${[...byName.keys()].join(', ')}` });
    chosen.add(name);
    for (const dependency of service.dependsOn) if (dependency.required || byName.has(dependency.service)) add(dependency.service);
  };
  for (const name of names) add(name);
  return chosen;
}

function volumesOf(file: AppSpec, running: AppSpec | undefined, services: readonly ServiceSpec[]): AppSpec['volumes'] {
  const used = new Set(services.flatMap((service) => service.mounts.flatMap((mount) => (mount.kind === 'volume' ? [mount.volume] : []))));
  const known = new Set(file.volumes.map((one) => one.name));
  return [...file.volumes, ...(running?.volumes ?? []).filter((one) => !known.has(one.name))].filter((one) => used.has(one.name));
}
