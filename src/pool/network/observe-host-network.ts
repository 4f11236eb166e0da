/** What the kernel holds now of this instance's links, routes, neighbours and tables, read as JSON. */
import { readdir, readFile } from 'node:fs/promises';
import { runProcess, StrataError, type Instance } from '#base';
import { z } from 'zod';
import { tableName, tapPrefix } from './interface-names.ts';
import type { ObservedEntries } from './plan-entries.ts';
import type { NftStamps } from './render-nft-transaction.ts';

/** Number our routes carry in the kernel (RTPROT, free for users), so that only ours are ever removed. */
export const routeProtocol = 160;

const tablesSchema = z.object({ nftables: z.array(z.object({
  counter: z.object({ table: z.string(), name: z.string() }).optional(),
  chain: z.object({ family: z.string(), table: z.string(), name: z.string(), policy: z.string().optional() }).optional(),
})) });

/** Names of all links of the host. */
export const listLinks = (): Promise<readonly string[]> => readdir('/sys/class/net');

export interface ObservedLink { readonly address: string; /** '' where it has none. */ readonly alias: string; readonly up: boolean }

/** Read from the kernel's own files, since a machine's start waits for it; undefined where there is no such link. */
export async function observeLink(name: string): Promise<ObservedLink | undefined> {
  const folder = `/sys/class/net/${name}`;
  try {
    const [address, alias, flags] = await Promise.all(['address', 'ifalias', 'flags'].map(async (file) => (await readFile(`${folder}/${file}`, 'utf8')).trim()));
    return { address: address ?? '', alias: alias ?? '', up: (Number(flags) & upFlag) !== 0 };
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined; // it went meanwhile
    throw error;
  }
}

/** IFF_UP of <linux/if.h>. */
const upFlag = 1;

/**
 * Routes and permanent neighbours on this instance's taps, read where the kernel tells them as text (proc(5), net/route
 * and net/arp): a look is taken often and at every change, and a program for it would cost more than all the rest.
 */
export async function observeEntries(instance: Instance): Promise<ObservedEntries> {
  const [links, routes, neighbours] = await Promise.all([readdir('/sys/class/net'), readFile('/proc/net/route', 'utf8'), readFile('/proc/net/arp', 'utf8')]);
  const ours = (device: string | undefined): device is string => device?.startsWith(tapPrefix(instance)) === true;
  return {
    taps: new Set(links.filter(ours)),
    routes: rowsOf(routes).flatMap(([device, target]) => (ours(device) && target !== undefined ? [{ address: addressOf(target), device, mac: '' }] : [])),
    neighbours: rowsOf(neighbours).flatMap(([address, , flags, mac, , device]) => (ours(device) && address !== undefined && (Number(flags) & permanentFlag) !== 0 ? [{ address, device, mac: mac ?? '' }] : [])),
  };
}

/** ATF_PERM of <linux/if_arp.h>. */
const permanentFlag = 0x04;
const rowsOf = (table: string): string[][] => table.trim().split('\n').slice(1).map((line) => line.trim().split(/\s+/));
/** net/route prints addresses as the little-endian number they are in memory. */
const addressOf = (hex: string): string => [...Buffer.from(hex, 'hex')].reverse().join('.');

export interface ObservedTables {
  /** Which rules and which state our tables carry; undefined where they are not there, whole or at all. */
  readonly stamps: NftStamps | undefined;
  /** Somebody else's `filter FORWARD` drops what it does not know. */
  readonly forwardingClosed: boolean;
}

/** What nftables holds, by one program and without any rule: names of counters and chains. */
export async function observeTables(instance: Instance): Promise<ObservedTables> {
  const { stdout } = await runProcess(['nft', '-j', 'list counters inet; list chains arp; list chains ip']);
  const found = stdout.trim().split('\n').flatMap((line) => parse(tablesSchema, line).nftables);
  const name = tableName(instance);
  const stamp = (kind: string) => found.find(({ counter }) => counter?.table === name && counter.name.startsWith(kind))?.counter?.name.slice(kind.length);
  const [rules, state] = [stamp('rules_'), stamp('state_')];
  const whole = found.some(({ chain }) => chain?.family === 'arp' && chain.table === name && chain.name === 'asked');
  return {
    stamps: !whole || rules === undefined || state === undefined ? undefined : { rules, state },
    forwardingClosed: found.some(({ chain }) => chain?.family === 'ip' && chain.table === 'filter' && chain.name === 'FORWARD' && chain.policy === 'drop'),
  };
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text === '' ? '[]' : text));
  } catch (cause) {
    throw unreadable(cause);
  }
}

const unreadable = (cause?: unknown): StrataError => new StrataError('the host printed something else than its network', { code: 'network.unreadable', kind: 'internal', cause });
