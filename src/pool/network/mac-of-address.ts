/**
 * The MAC of an endpoint is a function of its IPv4 address, so a replica that comes back with its address
 * comes back with its MAC too, and no neighbour entry anywhere is ever stale. Pure.
 */
import { StrataError } from '#base';

/**
 * `10.88.1.2` → `0a:53:0a:58:01:02`: locally administered, unicast, distinct for distinct addresses.
 * @throws StrataError `network.badAddress`
 */
export function macOfAddress(address: string): string {
  const octets = octetsOf(address);
  return ['0a', '53', ...octets.map((octet) => octet.toString(16).padStart(2, '0'))].join(':');
}

/** The four numbers of an IPv4 address in its one canonical spelling. @throws StrataError `network.badAddress` */
export function octetsOf(address: string): readonly number[] {
  const parts = address.split('.');
  const octets = parts.map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  if (octets.length !== 4 || octets.some((octet) => octet > 255)) {
    throw new StrataError(`'${address}' is not an IPv4 address`, { code: 'network.badAddress', kind: 'invalid' });
  }
  return octets;
}
