/**
 * Makes the host's network as wished, with `ip` and `nft`. What is right already is not touched; what somebody else
 * removed comes back with the next `apply` of the same state, and at once where a new one does not fit on what is there.
 *
 * Taps are routed, not bridged: each endpoint has a host route and a permanent neighbour entry on its machine's tap,
 * and the link in the bridge's name only carries the gateway address. (Where `bridge-nf-call-iptables` is on, as
 * Docker and Kubernetes have it, a bridged packet whose target nftables changes is sent back into the bridge, where
 * isolated ports drop it.) Taps therefore cannot reach each other except through the host's tables.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { asStrataError, bridgeName, gatewayAddress, runProcess, StrataError, type Instance, type Log } from '#base';
import { allowForwarding, forgetForwarding } from './foreign-firewalls.ts';
import { tapName, tapPrefix } from './interface-names.ts';
import { macOfAddress } from './mac-of-address.ts';
import type { HostNetwork, HostNetworkState } from './network.ts';
import { listLinks, observeEntries, observeLink, observeTables, routeProtocol } from './observe-host-network.ts';
import { planEntries, type EntriesPlan } from './plan-entries.ts';
import { listNftElements, type NftElements } from './list-nft-elements.ts';
import { renderNftRules } from './render-nft-rules.ts';
import { renderNftRemoval, renderNftTransaction, type NftStamps } from './render-nft-transaction.ts';
import { runNft } from './run-nft.ts';

export interface HostNetworkDeps {
  readonly instance: Instance;
  readonly log: Log;
}

/** Changes to the host's network happen one after the other; each call returns when its own has taken effect. */
export function openHostNetwork(deps: HostNetworkDeps): HostNetwork {
  const { instance, log } = deps;
  let last: HostNetworkState | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = tail.then(work, work);
    tail = mine.catch(() => undefined);
    return mine;
  };

  let filled: { readonly state: string; readonly elements: NftElements } | undefined;
  const rules = stampOf(renderNftRules(instance));
  const stampsOf = (elements: NftElements): NftStamps => ({ rules, state: stampOf([...elements]) });

  async function applyPolicy(elements: NftElements, there: NftStamps | undefined): Promise<void> {
    const stamps = stampsOf(elements);
    const known = there !== undefined && filled?.state === there.state ? filled.elements : undefined;
    const text = renderNftTransaction(instance, { stamps, elements }, there === undefined ? undefined : { stamps: there, elements: known });
    if (text !== undefined) await runNft(instance, text);
    filled = { state: stamps.state, elements };
  }

  /**
   * Another state on top of the one we made last, without a look before: a transaction takes the stamp of what it builds
   * on away, so it fails as a whole where somebody else has changed that. False then, and where nothing is to change.
   */
  async function buildOnLast(elements: NftElements): Promise<boolean> {
    const stamps = stampsOf(elements);
    if (filled === undefined || filled.state === stamps.state) return false;
    const text = renderNftTransaction(instance, { stamps, elements }, { stamps: { rules, state: filled.state }, elements: filled.elements });
    filled = undefined;
    try {
      if (text !== undefined) await runNft(instance, text);
    } catch (thrown) {
      log.debug({ error: asStrataError(thrown, 'nft').message }, 'the tables are not as they were left');
      return false;
    }
    filled = { state: stamps.state, elements };
    return true;
  }

  async function lookAndApply(elements: NftElements): Promise<void> {
    const { stamps, forwardingClosed } = await observeTables(instance);
    if (forwardingClosed) await allowForwarding(instance);
    await applyPolicy(elements, stamps);
  }

  async function applyEntries(state: HostNetworkState): Promise<void> {
    const plan = planEntries(state.endpoints, (id) => tapName(instance, id), await observeEntries(instance));
    await performEntries(instance, plan);
    if (plan.waiting.length > 0) log.debug({ waiting: plan.waiting.length }, 'endpoints whose machine has no tap yet');
  }

  return {
    ensure: () => inTurn(async () => {
      await ensureGatewayLink(instance);
      const { stamps, forwardingClosed } = await observeTables(instance);
      if (forwardingClosed) await allowForwarding(instance);
      // A table that is there may guard running machines of an earlier daemon; it stays until the first `apply`.
      if (stamps === undefined) await applyPolicy(listNftElements(instance, { endpoints: [], virtualAddresses: [] }), undefined);
    }),
    ensureTap: (machineId, options) => inTurn(async () => {
      const name = await ensureTapLink(instance, machineId, options?.ownerUid);
      if (last !== undefined) await applyEntries(last);
      return name;
    }),
    handOverTap: (fromId, toId) => inTurn(async () => {
      await renameTap(instance, fromId, toId);
      if (last !== undefined && last.endpoints.some((one) => one.machineId === toId)) await applyEntries(last);
    }),
    removeTap: (machineId) => inTurn(async () => {
      const name = tapName(instance, machineId);
      if (await observeLink(name) !== undefined) await runProcess(['ip', 'link', 'delete', 'dev', name]);
    }),
    apply: (state) => inTurn(async () => {
      const elements = listNftElements(instance, state); // refuses bad input before anything changes
      last = state;
      // The guard comes first, so no address is reachable before it is guarded.
      if (!await buildOnLast(elements)) await lookAndApply(elements);
      await applyEntries(state);
    }),
    erase: () => inTurn(() => eraseAll(instance)),
  };
}

const stampOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 24);

async function ensureGatewayLink(instance: Instance): Promise<void> {
  const name = bridgeName(instance);
  const gateway = gatewayAddress(instance);
  if (await observeLink(name) === undefined) await runProcess(['ip', 'link', 'add', 'name', name, 'address', macOfAddress(gateway), 'type', 'bridge', 'stp_state', '0']);
  await writeIfDifferent(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1');
  await runProcess(['ip', 'address', 'replace', `${gateway}/16`, 'dev', name]);
  await runProcess(['ip', 'link', 'set', 'dev', name, 'up']);
  await writeIfDifferent('/proc/sys/net/ipv4/ip_forward', '1');
}

/** Another machine's tap under the same name is never taken over: the alias holds the whole id. */
async function ensureTapLink(instance: Instance, machineId: string, ownerUid: number | undefined): Promise<string> {
  const name = tapName(instance, machineId);
  const link = await observeLink(name);
  if (link !== undefined && link.alias !== '' && link.alias !== machineId) throw taken(name, link.alias);
  // One MAC for the gateway on every tap: a clone keeps its template's neighbour entry and it is right.
  const mac = macOfAddress(gatewayAddress(instance));
  const owner = ownerUid === undefined ? '' : ` user ${ownerUid}`;
  // A new one is up at once, in the same run of the program: nobody has it open yet, and it takes no address of its own.
  const up = link === undefined ? `${existsSync('/proc/sys/net/ipv6') ? ' addrgenmode none' : ''} up` : '';
  const lines = [
    ...(link === undefined ? [`tuntap add dev ${name} mode tap vnet_hdr${owner}`] : []),
    ...(link?.address === mac && link.alias === machineId ? [] : [`link set dev ${name} address ${mac} alias ${machineId}${up}`]),
  ];
  if (lines.length > 0) await runProcess(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
  const conf = `/proc/sys/net/ipv4/conf/${name}`;
  await writeIfDifferent(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1');
  await writeIfDifferent(`${conf}/rp_filter`, '0'); // the guard checks more than this does
  await writeIfDifferent(`${conf}/accept_redirects`, '0');
  await writeIfDifferent(`${conf}/send_redirects`, '0');
  if (link?.up === false) await runProcess(['ip', 'link', 'set', 'dev', name, 'up']);
  return name;
}

const taken = (name: string, owner: string): StrataError => new StrataError(`the tap ${name} belongs to machine ${owner}`, { code: 'network.tapTaken', kind: 'conflict', advice: 'make the machine again, it will get another id' });

/** All in one program's run: each costs milliseconds while a machine waits. A link that is up keeps its name on older kernels. */
async function renameTap(instance: Instance, fromId: string, toId: string): Promise<void> {
  const [from, to] = [tapName(instance, fromId), tapName(instance, toId)];
  const owner = await readFile(`/sys/class/net/${to}/ifalias`, 'utf8').then((text) => text.trim(), () => undefined);
  if (owner !== undefined && owner !== '' && owner !== toId) throw taken(to, owner);
  const lines = [
    ...(owner === undefined ? [] : [`link delete dev ${to}`]),
    `link set dev ${from} down`, `link set dev ${from} name ${to}`, `link set dev ${to} alias ${toId} up`,
  ];
  await runProcess(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

async function performEntries(instance: Instance, plan: EntriesPlan): Promise<void> {
  const from = gatewayAddress(instance);
  // `replace` moves an address from one tap to another without a moment in which it leads nowhere.
  const lines = [
    ...plan.addNeighbours.map(({ address, device, mac }) => `neighbour replace ${address} lladdr ${mac} dev ${device} nud permanent`),
    ...plan.addRoutes.map(({ address, device }) => `route replace ${address}/32 dev ${device} scope link src ${from} proto ${routeProtocol}`),
    ...plan.removeRoutes.filter(({ address }) => !plan.addRoutes.some((one) => one.address === address))
      .map(({ address, device }) => `route delete ${address}/32 dev ${device} proto ${routeProtocol}`),
    ...plan.removeNeighbours.filter((old) => !plan.addNeighbours.some((one) => one.address === old.address && one.device === old.device))
      .map(({ address, device }) => `neighbour delete ${address} dev ${device}`),
  ];
  // A tap may vanish between the look and the act; the other lines must still be done.
  if (lines.length > 0) await runProcess(['ip', '-force', '-batch', '-'], { input: `${lines.join('\n')}\n`, okCodes: [0, 1] });
}

async function eraseAll(instance: Instance): Promise<void> {
  const ours = async () => (await listLinks()).filter((name) => name === bridgeName(instance) || name.startsWith(tapPrefix(instance)));
  // One that vanishes by itself meanwhile is as good.
  for (const name of await ours()) await runProcess(['ip', 'link', 'delete', 'dev', name], { okCodes: [0, 1] });
  const left = await ours();
  if (left.length > 0) throw new StrataError(`the links ${left.join(', ')} could not be removed`, { code: 'network.linkStays', kind: 'unavailable' });
  await forgetForwarding(instance);
  await runNft(instance, renderNftRemoval(instance));
}

async function writeIfDifferent(path: string, value: string): Promise<void> {
  let now: string;
  try {
    now = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && path.includes('/ipv6/')) return; // a kernel without IPv6
    throw error;
  }
  if (now.trim() !== value) await writeFile(path, value);
}
