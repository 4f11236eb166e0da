/** Ports as Compose writes them: 80, 3000-3005, 8080:80, 127.0.0.1:8080-8081:80-81/udp, [::1]:80:80. Undefined for anything else. */
import { isIP } from 'node:net';

export interface PortRange { readonly first: number; readonly last: number }

export interface PortMapping {
  readonly hostAddress: string | undefined;
  readonly published: PortRange | undefined;
  readonly target: PortRange;
  readonly protocol: string;
}

export function parsePortMapping(text: string): PortMapping | undefined {
  const [ports, protocol = 'tcp', ...rest] = text.split('/');
  if (ports === undefined || rest.length > 0 || !/^[a-z]+$/.test(protocol)) return undefined;
  const parts = /^(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?:([0-9-]*):)?([0-9-]+)$/.exec(ports);
  if (parts === null) return undefined;
  const [, address, published = '', target = ''] = parts;
  // `8080:80`: the first group has taken what is no address but the published port.
  const isPair = address !== undefined && parts[2] === undefined && isIP(address) === 0 && /^[0-9]+$/.test(address);
  return isPair ? mapping(undefined, address, target, protocol) : mapping(address, published, target, protocol);
}

function mapping(address: string | undefined, published: string, target: string, protocol: string): PortMapping | undefined {
  const targetRange = parsePortRange(target);
  const publishedRange = published === '' ? undefined : parsePortRange(published);
  const hostAddress = address?.replaceAll(/[[\]]/g, '');
  if (targetRange === undefined || (published !== '' && publishedRange === undefined)) return undefined;
  if (hostAddress !== undefined && isIP(hostAddress) === 0) return undefined;
  return { hostAddress, published: publishedRange, target: targetRange, protocol };
}

export function parsePortRange(value: string | number): PortRange | undefined {
  const parts = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value));
  if (parts === null) return undefined;
  const first = Number(parts[1]);
  const last = parts[2] === undefined ? first : Number(parts[2]);
  return first >= 1 && last <= 65_535 && first <= last ? { first, last } : undefined;
}

export const portsIn = (range: PortRange): number[] => Array.from({ length: range.last - range.first + 1 }, (_, index) => range.first + index);
