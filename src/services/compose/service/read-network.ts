/** Names and addresses of a service: host name, aliases, extra hosts, DNS servers; and what it waits for. */
import { isIP } from 'node:net';
import type { ServiceSpec } from '../../app.ts';
import { asList, flagAt, placeAt, wrong, type ServiceReading } from './service-reading.ts';

const hostName = /^(?=.{1,253}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*$/;

export function readHostname(reading: ServiceReading): string | null {
  const { hostname } = reading.source;
  if (hostname === undefined) return null;
  if (!hostName.test(hostname) || hostname.length > 63) wrong(reading, ['hostname'], 'compose.badName', `is no host name: ${JSON.stringify(hostname)}`, 'letters, digits and hyphens, at most 63');
  return hostname;
}

/** All networks of an app are one: an alias of any of them is an alias of the service. */
export function readAliases(reading: ServiceReading): string[] {
  const { networks, container_name: containerName, name: _name } = { name: reading.name, ...reading.source };
  const aliases = new Set<string>();
  const add = (alias: string, ...path: (string | number)[]): void => {
    if (hostName.test(alias)) aliases.add(alias);
    else wrong(reading, path, 'compose.badName', `is no host name: ${JSON.stringify(alias)}`);
  };
  if (containerName !== undefined) add(containerName, 'container_name');
  if (networks !== undefined && !Array.isArray(networks)) {
    for (const [network, use] of Object.entries(networks)) (use?.aliases ?? []).forEach((alias, index) => add(alias, 'networks', network, 'aliases', index));
  }
  aliases.delete(reading.name);
  return [...aliases];
}

/** Names of the networks a service is on. */
export function readNetworks(reading: ServiceReading): string[] {
  const { networks } = reading.source;
  const names = networks === undefined ? ['default'] : Array.isArray(networks) ? networks : Object.keys(networks);
  names.forEach((name, index) => {
    const path = Array.isArray(networks) ? ['networks', index] : ['networks', name];
    if (name !== 'default' && !reading.project.networks.has(name)) wrong(reading, path, 'compose.unknownNetwork', `names the network ${name}, which the top-level networks lack`, `add to the top level: networks: {${name}: {}}`);
  });
  return names;
}

export function readExtraHosts(reading: ServiceReading): ServiceSpec['extraHosts'][number][] {
  const { extra_hosts: written } = reading.source;
  if (written === undefined) return [];
  const pairs: [string, string, (string | number)[]][] = Array.isArray(written)
    ? written.map((text, index) => {
      const at = text.search(/[=:]/);
      return [at < 0 ? text : text.slice(0, at), at < 0 ? '' : text.slice(at + 1), ['extra_hosts', index]];
    })
    : Object.entries(written).flatMap(([name, addresses]) => asList(addresses).map((address): [string, string, string[]] => [name, address, ['extra_hosts', name]]));
  return pairs.flatMap(([name, raw, path]) => {
    const address = raw.replaceAll(/^\[|\]$/g, '');
    if (hostName.test(name) && (address === 'host-gateway' || isIP(address) !== 0)) return [{ name, address }];
    wrong(reading, path, 'compose.badAddress', `must be a name and an address, not ${JSON.stringify(`${name}=${raw}`)}`, 'write "name=10.0.0.1" or "name=host-gateway"');
    return [];
  });
}

export function readDns(reading: ServiceReading): string[] {
  const { dns } = reading.source;
  return asList(dns).filter((address, index) => {
    if (isIP(address) !== 0) return true;
    wrong(reading, typeof dns === 'string' ? ['dns'] : ['dns', index], 'compose.badAddress', `must be an address, not ${JSON.stringify(address)}`);
    return false;
  });
}

const conditionOf = { service_started: 'started', service_healthy: 'healthy', service_completed_successfully: 'completed' } as const;

/** `links` are dependencies too. */
export function readDependencies(reading: ServiceReading): ServiceSpec['dependsOn'][number][] {
  const { depends_on: written, links = [] } = reading.source;
  const found = new Map<string, ServiceSpec['dependsOn'][number]>();
  links.forEach((link, index) => {
    const [service = '', alias] = link.split(':');
    if (alias !== undefined && alias !== service) wrong(reading, ['links', index], 'compose.refused', `gives ${service} another name for one service only`, `write the alias under services.${service}.networks.default.aliases`);
    else found.set(service, { service, condition: 'started', required: true, restart: false });
  });
  if (Array.isArray(written)) for (const service of written) found.set(service, { service, condition: 'started', required: true, restart: false });
  else {
    for (const [service, wish] of Object.entries(written ?? {})) {
      found.set(service, {
        service, condition: conditionOf[wish.condition ?? 'service_started'],
        required: flagAt(reading, wish.required, 'depends_on', service, 'required') ?? true,
        restart: flagAt(reading, wish.restart, 'depends_on', service, 'restart') ?? false,
      });
    }
  }
  return [...found.values()];
}

/** Where a dependency is written. */
export function dependencyPlace(reading: ServiceReading, service: string): ReturnType<typeof placeAt> {
  const { depends_on: written, links = [] } = reading.source;
  const entry = (reading.tree.kind === 'map' ? reading.tree.entries.get('depends_on')?.value : undefined);
  if (entry?.kind === 'map') {
    const found = entry.entries.get(service);
    if (found !== undefined) return found.key;
  }
  if (Array.isArray(written) && written.includes(service)) return placeAt(reading, 'depends_on', written.indexOf(service));
  const link = links.findIndex((one) => one.split(':')[0] === service);
  return link < 0 ? placeAt(reading) : placeAt(reading, 'links', link);
}
