/**
 * The packet policy of one instance: the chains, which are the same for every state, and the sets they look into, which
 * `list-nft-elements.ts` fills. Pure.
 *
 * A packet from a guest meets, in this order:
 *
 *     guards     is source (tap, MAC, address) one of its machine's endpoints? IPv6: never
 *     spread     is the target a virtual address? then a ready replica; with none the edge, which parks the ports it knows
 *     forwarded  another endpoint: only of the same project. Outside: not into private networks
 *     to_host    only name service, parked connections and ping
 *     leaving    masquerade to the outside; hairpin to oneself comes from the gateway's address
 *
 * Chains are loaded once and stay: a packet that passes while a chain is replaced can meet the new chain before it
 * counts and the old one after it no longer does, and so neither (seen: 1 of 3000 connections). Elements of
 * sets change for all packets at one instant.
 */
import { bridgeName, gatewayAddress, type Instance } from '#base';
import { tableName, tapPrefix } from './interface-names.ts';
import {
  accept, among, concat, ct, drop, field, goTo, is, isNot, isTcp, jump, meta, prefix, rejectWith, resetConnection, sourceAddress, targetAddress,
  type NftCommand, type NftExpression,
} from './nft-expressions.ts';

/** Networks that are never "the internet": private, shared, link-local, loopback, documentation-free specials, multicast, reserved. */
const closedNetworks: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.168.0.0', 16], ['198.18.0.0', 15], ['224.0.0.0', 3],
];

/** Replicas a virtual address is spread over at most. */
export const maxSpread = 128;

/** The sets of each family, by name: type of the key, and of what it leads to where it is a map. */
export const nftSets: readonly { readonly family: 'inet' | 'arp'; readonly name: string; readonly type: string | readonly string[]; readonly map?: string }[] = [
  { family: 'inet', name: 'sources', type: ['ifname', 'ether_addr', 'ipv4_addr'] },
  { family: 'inet', name: 'endpoints', type: 'ipv4_addr' },
  { family: 'inet', name: 'virtual', type: 'ipv4_addr' },
  { family: 'inet', name: 'project', type: 'ipv4_addr', map: 'mark' },
  { family: 'inet', name: 'members', type: ['mark', 'ipv4_addr'] },
  { family: 'inet', name: 'itself', type: ['ipv4_addr', 'ipv4_addr'] },
  { family: 'inet', name: 'backends', type: ['ipv4_addr', 'mark'], map: 'ipv4_addr' },
  { family: 'inet', name: 'parking', type: ['ipv4_addr', 'inet_service'], map: 'inet_service' },
  { family: 'inet', name: 'leads', type: ['ipv4_addr', 'inet_proto', 'inet_service'], map: 'verdict' },
  { family: 'inet', name: 'anywhere', type: 'ipv4_addr', map: 'verdict' },
  { family: 'arp', name: 'sources', type: ['ifname', 'ether_addr', 'ipv4_addr'] },
];

/** Commands that make both tables anew, with empty sets. */
export function renderNftRules(instance: Instance): readonly NftCommand[] {
  const name = tableName(instance);
  const commands: NftCommand[] = ['inet', 'arp'].flatMap((family) => [{ add: { table: { family, name } } }, { delete: { table: { family, name } } }, { add: { table: { family, name } } }]);
  for (const { family, name: set, type, map } of nftSets) {
    commands.push(map === undefined ? { add: { set: { family, table: name, name: set, type } } } : { add: { map: { family, table: name, name: set, type, map } } });
  }
  const inet = tableWriter(commands, 'inet', name);
  addSpreading(inet, instance);
  addGuards(inet, instance);
  addForwarding(inet, instance);
  addHostRules(inet, instance);
  addLeaving(inet, instance);
  addArp(tableWriter(commands, 'arp', name), instance);
  return commands;
}

interface TableWriter {
  chain(name: string, hook?: { readonly type: 'filter' | 'nat'; readonly hook: string; readonly prio: number }): void;
  rule(chain: string, ...expr: readonly NftExpression[]): void;
}

function tableWriter(commands: NftCommand[], family: string, table: string): TableWriter {
  return {
    chain: (name, hook) => { commands.push({ add: { chain: { family, table, name, ...(hook === undefined ? {} : { ...hook, policy: 'accept' }) } } }); },
    rule: (chain, ...expr) => { commands.push({ add: { rule: { family, table, chain, expr } } }); },
  };
}

const fromGuest = (instance: Instance): NftExpression => is(meta('iifname'), `${tapPrefix(instance)}*`);
const toGuest = (instance: Instance): NftExpression => is(meta('oifname'), `${tapPrefix(instance)}*`);
const ownNetwork = (instance: Instance) => prefix(`10.${instance.subnet}.0.0`, 16);

/**
 * `anywhere` leads every port nobody listed to the ready replicas, whose own kernel refuses what is closed; `leads` says for (address, protocol, port) over how many replicas to spread, `backends` which is the n-th; the number
 * of the chosen one is kept in the connection's mark. Should the n-th have gone in between, the first is taken, and
 * with none left the edge.
 */
function addSpreading(table: TableWriter, instance: Instance): void {
  table.chain('park');
  table.rule('park', isTcp, { dnat: { family: 'ip', addr: gatewayAddress(instance), port: { map: { key: concat(targetAddress, field('tcp', 'dport')), data: '@parking' } } } });
  table.chain('to_backend');
  const chosen = { dnat: { family: 'ip', addr: { map: { key: concat(targetAddress, ct('mark')), data: '@backends' } } } };
  table.rule('to_backend', chosen);
  table.rule('to_backend', { mangle: { key: ct('mark'), value: 0 } });
  table.rule('to_backend', chosen);
  table.rule('to_backend', goTo('park'));
  for (let count = 1; count <= maxSpread; count += 1) {
    const value = count === 1 ? 0 : { numgen: { mode: 'random', mod: count, offset: 0 } };
    table.chain(`spread_${count}`);
    table.rule(`spread_${count}`, { mangle: { key: ct('mark'), value } });
    table.rule(`spread_${count}`, goTo('to_backend'));
  }
  const look = { vmap: { key: concat(targetAddress, meta('l4proto'), field('th', 'dport')), data: '@leads' } };
  const lookAnywhere = { vmap: { key: targetAddress, data: '@anywhere' } };
  table.chain('spread_guests', { type: 'nat', hook: 'prerouting', prio: -100 });
  table.rule('spread_guests', fromGuest(instance), look);
  table.rule('spread_guests', fromGuest(instance), lookAnywhere);
  table.chain('spread_host', { type: 'nat', hook: 'output', prio: -100 });
  table.rule('spread_host', look);
  table.rule('spread_host', lookAnywhere);
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
  table.rule('guest_to_host', is(targetAddress, gatewayAddress(instance)), is(field('th', 'dport'), 53), accept);
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
  // Resets are not rationed as ICMP errors are, so a refusal is always quick.
  table.chain('closed');
  table.rule('closed', isTcp, resetConnection);
  table.rule('closed', rejectWith('admin-prohibited'));
  table.chain(chain);
  // Before "established": a connection to a replica that has gone ends at once instead of hanging.
  addNobodyThere(table, chain, instance);
  table.rule(chain, among(ct('state'), ['established', 'related']), accept);
  // A mark somebody else put on the packet is no project.
  table.rule(chain, is(targetAddress, ownNetwork(instance)), { mangle: { key: meta('mark'), value: 0 } });
  table.rule(chain, is(targetAddress, ownNetwork(instance)), { mangle: { key: meta('mark'), value: { map: { key: sourceAddress, data: '@project' } } } });
  table.rule(chain, is(concat(meta('mark'), targetAddress), '@members'), jump('same_project'));
  for (const [network, bits] of closedNetworks) table.rule(chain, is(targetAddress, prefix(network, bits)), jump('closed'));
  table.rule(chain, accept);
}

/** A virtual address with no ready replica that parks nothing on that port, and an address of ours that nobody has, answer "no" instead of silence. */
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

function addArp(table: TableWriter, instance: Instance): void {
  table.chain('asked', { type: 'filter', hook: 'input', prio: 0 });
  table.rule('asked', fromGuest(instance), is(field('arp', 'operation'), 'request'), is(field('arp', 'daddr ip'), gatewayAddress(instance)),
    is(concat(meta('iifname'), field('arp', 'saddr ether'), field('arp', 'saddr ip')), '@sources'), accept);
  table.rule('asked', fromGuest(instance), drop);
}
