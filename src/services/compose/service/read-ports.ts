/** Published and exposed ports, in long form: ranges taken apart, protocol and way of balancing decided. */
import { isIP } from 'node:net';
import type { PublishedPort, ServiceSpec } from '../../app.ts';
import { parsePortMapping, parsePortRange, portsIn, type PortMapping } from '../values/parse-port.ts';
import { wrong, type ServiceReading } from './service-reading.ts';

/** Registered for HTTP; traffic to any other port is left as it is, unless app_protocol says more. */
const httpPorts: ReadonlySet<number> = new Set([80, 8000, 8008, 8080]);
/** A range of more is a mistake. */
const mostPorts = 256;

type PortSource = NonNullable<ServiceReading['source']['ports']>[number];
type LongPort = Exclude<PortSource, string | number>;

export function readPorts(reading: ServiceReading): PublishedPort[] {
  return (reading.source.ports ?? []).flatMap((port, index) => {
    const mapping = typeof port === 'object' ? longMapping(reading, port, index) : parsePortMapping(String(port));
    if (mapping !== undefined) return publish(reading, mapping, typeof port === 'object' ? port.app_protocol : undefined, index);
    if (typeof port !== 'object') wrong(reading, ['ports', index], 'compose.badPort', `is no port mapping: ${JSON.stringify(port)}`, 'write "8080:80", "127.0.0.1:8080:80" or "8080:80/udp"');
    return [];
  });
}

function longMapping(reading: ServiceReading, port: LongPort, index: number): PortMapping | undefined {
  const target = parsePortRange(port.target);
  const published = port.published === undefined || String(port.published) === '' ? undefined : parsePortRange(port.published);
  if (target === undefined || target.first !== target.last) wrong(reading, ['ports', index, 'target'], 'compose.badPort', `must be a port from 1 to 65535, not ${JSON.stringify(port.target)}`);
  if (port.published !== undefined && String(port.published) !== '' && published === undefined) wrong(reading, ['ports', index, 'published'], 'compose.badPort', `must be a port from 1 to 65535, not ${JSON.stringify(port.published)}`);
  if (port.host_ip !== undefined && isIP(port.host_ip) === 0) wrong(reading, ['ports', index, 'host_ip'], 'compose.badAddress', `is no address: ${JSON.stringify(port.host_ip)}`);
  if (port.mode !== undefined && !['ingress', 'host'].includes(port.mode)) wrong(reading, ['ports', index, 'mode'], 'compose.wrongType', `must be ingress or host, not ${JSON.stringify(port.mode)}`);
  return target === undefined ? undefined : { hostAddress: port.host_ip, published, target, protocol: port.protocol ?? 'tcp' };
}

function publish(reading: ServiceReading, mapping: PortMapping, application: string | undefined, index: number): PublishedPort[] {
  const { protocol } = mapping;
  if (protocol !== 'tcp' && protocol !== 'udp') {
    wrong(reading, ['ports', index], 'compose.badPort', `has an unknown protocol: ${protocol}`, 'use tcp or udp');
    return [];
  }
  const targets = portsIn(mapping.target);
  const published = mapping.published === undefined ? targets.map(() => 0) : portsIn(mapping.published);
  if (targets.length !== published.length) {
    wrong(reading, ['ports', index], 'compose.badPort', `publishes ${published.length} ports for ${targets.length}`, targets.length === 1 ? 'publish one port: the gateway spreads it over all replicas; or leave the host port out and a free one is chosen' : 'make both ranges of one length');
    return [];
  }
  if (targets.length > mostPorts) {
    wrong(reading, ['ports', index], 'compose.badPort', `publishes ${targets.length} ports; at most ${mostPorts} at once`);
    return [];
  }
  return targets.map((containerPort, at) => ({
    hostAddress: mapping.hostAddress ?? '0.0.0.0', hostPort: published[at] ?? 0, containerPort, protocol,
    application: protocol === 'udp' ? 'tcp' : application === undefined ? (httpPorts.has(containerPort) ? 'http' : 'tcp') : application.toLowerCase() === 'http' ? 'http' : 'tcp',
  }));
}

export function readExpose(reading: ServiceReading): ServiceSpec['expose'][number][] {
  const seen = new Set<string>();
  return (reading.source.expose ?? []).flatMap((value, index) => {
    const [ports = '', protocol = 'tcp', ...rest] = String(value).split('/');
    const range = parsePortRange(ports);
    if (range === undefined || rest.length > 0 || (protocol !== 'tcp' && protocol !== 'udp') || range.last - range.first >= mostPorts) {
      wrong(reading, ['expose', index], 'compose.badPort', `is no port: ${JSON.stringify(value)}`, 'write "3000", "8000-8005" or "53/udp"');
      return [];
    }
    return portsIn(range).filter((port) => !seen.has(`${port}/${protocol}`) && seen.add(`${port}/${protocol}`)).map((port) => ({ port, protocol }));
  });
}
