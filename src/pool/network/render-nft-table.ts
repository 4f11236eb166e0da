/**
 * The whole packet policy of one instance as one nftables transaction. Pure: the same state gives the same text.
 *
 * Two tables carry it, replaced together: `inet` (what may pass, where virtual addresses lead) and `arp` (what may be
 * asked). A packet from a guest meets, in this order:
 *
 *     guards     is source (tap, MAC, address) one of its machine's endpoints? IPv6: never
 *     spread     is the target a virtual address with this port? then a ready replica, or the edge, which parks
 *     forwarded  another endpoint: only of the same project. Outside: not into private networks
 *     to_host    only name service, parked connections and ping
 *     leaving    masquerade to the outside; hairpin to oneself comes from the gateway's address
 *
 * Projects are numbered within one transaction; packets wear the number only inside `forwarded`.
 */
import { bridgeName, gatewayAddress, type Instance } from '#base';
import { tableName, tapName, tapPrefix } from './interface-names.ts';
import { macOfAddress, octetsOf } from './mac-of-address.ts';
import type { HostNetworkState, VirtualAddress } from './network.ts';
import {
  accept, among, concat, ct, drop, field, goTo, is, isNot, isTcp, jump, meta, prefix, rejectWith, resetConnection, sourceAddress, targetAddress,
  type NftCommand, type NftExpression,
} from './nft-expressions.ts';

/** Networks that are never "the internet": private, shared, link-local, loopback, documentation-free specials, multicast, reserved. */
const closedNetworks: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.168.0.0', 16], ['198.18.0.0', 15], ['224.0.0.0', 3],
];

/** Name of the counter that says which state the table carries; found again by a later daemon. */
export const stampName = (stamp: string): string => `state_${stamp}`;

/**
 * Text for `nft -j -f -`.
 * @param stamp letters and digits that stand for this state; kept in the table as a counter's name
 * @throws StrataError `network.badAddress`, `network.badMachineId`: nothing unchecked reaches the text
 */
export function renderNftTable(instance: Instance, state: HostNetworkState, stamp: string): string {
  const name = tableName(instance);
  const commands: NftCommand[] = [];
  for (const family of ['inet', 'arp']) {
    const table = { family, name };
    commands.push({ add: { table } }, { delete: { table } }, { add: { table } });
  }
  commands.push({ add: { counter: { family: 'inet', table: name, name: stampName(stamp) } } });
  const inet = tableWriter(commands, 'inet', name);
  addSets(inet, instance, state);
  addVirtualAddresses(inet, instance, state.virtualAddresses);
  addGuards(inet, instance);
  addForwarding(inet, instance);
  addHostRules(inet, instance);
  addLeaving(inet, instance);
  addArp(tableWriter(commands, 'arp', name), instance, state);
  return JSON.stringify({ nftables: commands });
}

/** Removal of both tables, also where they are not there. */
export function renderNftRemoval(instance: Instance): string {
  const tables = ['inet', 'arp'].map((family) => ({ table: { family, name: tableName(instance) } }));
  return JSON.stringify({ nftables: tables.flatMap((table) => [{ add: table }, { delete: table }]) });
}

interface TableWriter {
  set(name: string, type: string | readonly string[], elements: readonly unknown[]): void;
  map(name: string, type: string | readonly string[], to: string, elements: readonly (readonly [unknown, unknown])[]): void;
  chain(name: string, hook?: { readonly type: 'filter' | 'nat'; readonly hook: string; readonly prio: number }): void;
  rule(chain: string, ...expr: readonly NftExpression[]): void;
}

function tableWriter(commands: NftCommand[], family: string, table: string): TableWriter {
  return {
    set: (name, type, elements) => { commands.push({ add: { set: { family, table, name, type, ...(elements.length > 0 ? { elem: elements } : {}) } } }); },
    map: (name, type, map, elements) => { commands.push({ add: { map: { family, table, name, type, map, ...(elements.length > 0 ? { elem: elements } : {}) } } }); },
    chain: (name, hook) => { commands.push({ add: { chain: { family, table, name, ...(hook === undefined ? {} : { ...hook, policy: 'accept' }) } } }); },
    rule: (chain, ...expr) => { commands.push({ add: { rule: { family, table, chain, expr } } }); },
  };
}

const fromGuest = (instance: Instance): NftExpression => is(meta('iifname'), `${tapPrefix(instance)}*`);
const toGuest = (instance: Instance): NftExpression => is(meta('oifname'), `${tapPrefix(instance)}*`);
const ownNetwork = (instance: Instance) => prefix(`10.${instance.subnet}.0.0`, 16);

function addSets(table: TableWriter, instance: Instance, state: HostNetworkState): void {
  const projects = [...new Set(state.endpoints.flatMap(({ project }) => (project === null ? [] : [project])))].sort();
  const members = state.endpoints.flatMap(({ address, project }) => (project === null ? [] : [{ address, number: projects.indexOf(project) + 1 }]));
  table.set('sources', ['ifname', 'ether_addr', 'ipv4_addr'], sourcesOf(instance, state));
  table.set('endpoints', 'ipv4_addr', state.endpoints.map(({ address }) => address));
  table.set('virtual', 'ipv4_addr', state.virtualAddresses.map(({ address }) => { octetsOf(address); return address; }));
  table.map('project', 'ipv4_addr', 'mark', members.map(({ address, number }) => [address, number]));
  table.set('members', ['mark', 'ipv4_addr'], members.map(({ address, number }) => ({ concat: [number, address] })));
  table.set('itself', ['ipv4_addr', 'ipv4_addr'], state.endpoints.map(({ address }) => ({ concat: [address, address] })));
  table.set('open', ['inet_proto', 'inet_service'], [['udp', 53], ['tcp', 53]].map((one) => ({ concat: one })));
}

function sourcesOf(instance: Instance, state: HostNetworkState): readonly unknown[] {
  return state.endpoints.map(({ address, machineId }) => ({ concat: [tapName(instance, machineId), macOfAddress(address), address] }));
}

/** One chain per place a port can lead to, one verdict map from (address, protocol, port) to it. */
function addVirtualAddresses(table: TableWriter, instance: Instance, addresses: readonly VirtualAddress[]): void {
  const leads: (readonly [unknown, unknown])[] = [];
  addresses.forEach((virtual, index) => {
    const spread = `spread_${index}`;
    if (virtual.backends.length > 0) {
      table.chain(spread);
      table.rule(spread, { dnat: { family: 'ip', addr: balanced(virtual.backends) } });
    }
    for (const { protocol, port } of virtual.ports) {
      const parking = virtual.parking[port];
      if (virtual.backends.length > 0) leads.push([{ concat: [virtual.address, protocol, port] }, goTo(spread)]);
      else if (protocol === 'tcp' && parking !== undefined) {
        const park = `park_${index}_${port}`;
        table.chain(park);
        table.rule(park, isTcp, { dnat: { family: 'ip', addr: gatewayAddress(instance), port: parking } });
        leads.push([{ concat: [virtual.address, protocol, port] }, goTo(park)]);
      }
    }
  });
  table.map('leads', ['ipv4_addr', 'inet_proto', 'inet_service'], 'verdict', leads);
  const look = { vmap: { key: concat(targetAddress, meta('l4proto'), field('th', 'dport')), data: '@leads' } };
  table.chain('spread_guests', { type: 'nat', hook: 'prerouting', prio: -100 });
  table.rule('spread_guests', fromGuest(instance), look);
  table.chain('spread_host', { type: 'nat', hook: 'output', prio: -100 });
  table.rule('spread_host', look);
}

function balanced(backends: readonly string[]): unknown {
  for (const backend of backends) octetsOf(backend);
  if (backends.length === 1) return backends[0];
  return { map: { key: { numgen: { mode: 'inc', mod: backends.length, offset: 0 } }, data: { set: backends.map((backend, index) => [index, backend]) } } };
}

/** Before connection tracking: what a guest may not even say. */
function addGuards(table: TableWriter, instance: Instance): void {
  table.chain('guards', { type: 'filter', hook: 'prerouting', prio: -300 });
  table.rule('guards', fromGuest(instance), isNot(meta('nfproto'), 'ipv4'), drop);
  table.rule('guards', fromGuest(instance), isNot(concat(meta('iifname'), field('ether', 'saddr'), sourceAddress), '@sources'), drop);
}

function addForwarding(table: TableWriter, instance: Instance): void {
  table.chain('same_project');
  table.rule('same_project', { mangle: { key: meta('mark'), value: 0 } });
  table.rule('same_project', accept);
  addFromGuest(table, instance);
  table.chain('forwarded', { type: 'filter', hook: 'forward', prio: 0 });
  table.rule('forwarded', fromGuest(instance), jump('from_guest'));
  table.rule('forwarded', toGuest(instance), among(ct('state'), ['established', 'related']), accept);
  table.rule('forwarded', toGuest(instance), drop);
  table.rule('forwarded', is(targetAddress, ownNetwork(instance)), drop);
  table.rule('forwarded', is(meta('oifname'), bridgeName(instance)), drop);
}

function addHostRules(table: TableWriter, instance: Instance): void {
  table.chain('guest_to_host');
  table.chain('to_host', { type: 'filter', hook: 'input', prio: 0 });
  table.rule('to_host', fromGuest(instance), jump('guest_to_host'));
  table.rule('to_host', isNot(meta('iifname'), 'lo'), isNot(meta('iifname'), `${tapPrefix(instance)}*`), is(targetAddress, ownNetwork(instance)), drop);
  table.rule('guest_to_host', among(ct('state'), ['established', 'related']), accept);
  table.rule('guest_to_host', is(targetAddress, gatewayAddress(instance)), is(concat(meta('l4proto'), field('th', 'dport')), '@open'), accept);
  table.rule('guest_to_host', is(targetAddress, gatewayAddress(instance)), among(ct('status'), ['dnat']), accept);
  table.rule('guest_to_host', is(targetAddress, gatewayAddress(instance)), is(field('icmp', 'type'), 'echo-request'), accept);
  table.rule('guest_to_host', isTcp, resetConnection);
  table.rule('guest_to_host', rejectWith('port-unreachable'));
  table.chain('from_host', { type: 'filter', hook: 'output', prio: 0 });
  // Two endpoints behind one tap look like neighbours to the kernel; they must go on asking the gateway.
  table.rule('from_host', toGuest(instance), is(field('icmp', 'type'), 'redirect'), drop);
  addNobodyThere(table, 'from_host', instance);
}

function addFromGuest(table: TableWriter, instance: Instance): void {
  const chain = 'from_guest';
  table.chain(chain);
  // Before "established": a connection to a replica that has gone ends at once instead of hanging.
  addNobodyThere(table, chain, instance);
  table.rule(chain, among(ct('state'), ['established', 'related']), accept);
  // A mark somebody else put on the packet is no project.
  table.rule(chain, is(targetAddress, ownNetwork(instance)), { mangle: { key: meta('mark'), value: 0 } });
  table.rule(chain, is(targetAddress, ownNetwork(instance)), { mangle: { key: meta('mark'), value: { map: { key: sourceAddress, data: '@project' } } } });
  table.rule(chain, is(concat(meta('mark'), targetAddress), '@members'), jump('same_project'));
  for (const [network, bits] of closedNetworks) table.rule(chain, is(targetAddress, prefix(network, bits)), rejectWith('admin-prohibited'));
  table.rule(chain, accept);
}

/** A virtual address's port that is not listed, and an address of ours that nobody has, answer "no" instead of silence. */
function addNobodyThere(table: TableWriter, chain: string, instance: Instance): void {
  table.rule(chain, is(targetAddress, '@virtual'), isTcp, resetConnection);
  table.rule(chain, is(targetAddress, '@virtual'), rejectWith('port-unreachable'));
  const nobody = [is(targetAddress, ownNetwork(instance)), isNot(targetAddress, gatewayAddress(instance)), isNot(targetAddress, '@endpoints')];
  table.rule(chain, ...nobody, isTcp, resetConnection);
  table.rule(chain, ...nobody, rejectWith('host-unreachable'));
}

function addLeaving(table: TableWriter, instance: Instance): void {
  table.chain('leaving', { type: 'nat', hook: 'postrouting', prio: 100 });
  table.rule('leaving', is(concat(sourceAddress, targetAddress), '@itself'), { snat: { family: 'ip', addr: gatewayAddress(instance) } });
  table.rule('leaving', is(sourceAddress, ownNetwork(instance)), isNot(targetAddress, ownNetwork(instance)), isNot(meta('oifname'), 'lo'), { masquerade: null });
}

function addArp(table: TableWriter, instance: Instance, state: HostNetworkState): void {
  table.set('sources', ['ifname', 'ether_addr', 'ipv4_addr'], sourcesOf(instance, state));
  table.chain('asked', { type: 'filter', hook: 'input', prio: 0 });
  table.rule('asked', fromGuest(instance), is(field('arp', 'operation'), 'request'), is(field('arp', 'daddr ip'), gatewayAddress(instance)),
    is(concat(meta('iifname'), field('arp', 'saddr ether'), field('arp', 'saddr ip')), '@sources'), accept);
  table.rule('asked', fromGuest(instance), drop);
}
