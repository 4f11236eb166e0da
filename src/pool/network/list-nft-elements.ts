/**
 * What the sets of the policy hold for a state of the network. Pure; every word is checked, so nothing unchecked reaches
 * the kernel's text.
 */
import { gatewayAddress, type Instance } from '#base';
import { tapName } from './interface-names.ts';
import { macOfAddress, octetsOf } from './mac-of-address.ts';
import type { HostNetworkState, VirtualAddress } from './network.ts';
import { goTo } from './nft-expressions.ts';
import { maxSpread } from './render-nft-rules.ts';

/** `<family> <set>` → its elements in libnftables' JSON. */
export type NftElements = ReadonlyMap<string, readonly unknown[]>;

/** @throws StrataError `network.badAddress`, `network.badMachineId` */
export function listNftElements(instance: Instance, state: HostNetworkState): NftElements {
  for (const virtual of state.virtualAddresses) for (const address of [virtual.address, ...virtual.backends]) octetsOf(address);
  const sources = state.endpoints.map(({ address, machineId }) => ({ concat: [tapName(instance, machineId), macOfAddress(address), address] }));
  const numbers = numberProjects(state.endpoints.flatMap(({ project }) => (project === null ? [] : [project])));
  const members = state.endpoints.flatMap(({ address, project }) => (project === null ? [] : [{ address, number: numbers.get(project) as number }]));
  octetsOf(gatewayAddress(instance));
  return new Map<string, readonly unknown[]>([
    ['inet sources', sources],
    ['inet endpoints', state.endpoints.map(({ address }) => address)],
    ['inet virtual', state.virtualAddresses.map(({ address }) => address)],
    ['inet project', members.map(({ address, number }) => [address, number])],
    ['inet members', members.map(({ address, number }) => ({ concat: [number, address] }))],
    ['inet itself', state.endpoints.map(({ address }) => ({ concat: [address, address] }))],
    ['inet backends', state.virtualAddresses.flatMap(({ address, backends }) => backends.slice(0, maxSpread).map((backend, index) => [{ concat: [address, index] }, backend]))],
    ['inet parking', state.virtualAddresses.flatMap((virtual) => parkable(virtual).map(({ port, parking }) => [{ concat: [virtual.address, port] }, parking]))],
    ['inet leads', state.virtualAddresses.flatMap(leadsOf)],
    ['inet anywhere', state.virtualAddresses.flatMap(({ address, backends }) => (backends.length === 0 ? [] : [[address, goTo(`spread_${Math.min(backends.length, maxSpread)}`)]]))],
    ['arp sources', sources],
  ]);
}

function leadsOf(virtual: VirtualAddress): readonly unknown[] {
  const count = Math.min(virtual.backends.length, maxSpread);
  const parked = new Set(parkable(virtual).map(({ port }) => port));
  return virtual.ports.flatMap(({ protocol, port }) => {
    if (count === 0 && !(protocol === 'tcp' && parked.has(port))) return [];
    return [[{ concat: [virtual.address, protocol, port] }, goTo(count === 0 ? 'park' : `spread_${count}`)]];
  });
}

function parkable(virtual: VirtualAddress): readonly { readonly port: number; readonly parking: number }[] {
  return virtual.ports.flatMap(({ protocol, port }) => {
    const parking = virtual.parking[port];
    return protocol === 'tcp' && parking !== undefined ? [{ port, parking }] : [];
  });
}

/** A number per project that stays the same while others come and go; two projects never share one. */
function numberProjects(projects: readonly string[]): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  const used = new Set<number>();
  for (const project of [...new Set(projects)].sort()) {
    let number = hash(project);
    while (number === 0 || used.has(number)) number = (number + 1) >>> 0;
    used.add(number);
    numbers.set(project, number);
  }
  return numbers;
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) as number), 0x01000193) >>> 0;
  return value;
}
