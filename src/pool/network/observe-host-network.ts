/** What the kernel holds now of this instance's links, routes, neighbours and tables, read as JSON. */
import { readdir, readFile } from 'node:fs/promises';
import { runProcess, StrataError, type Instance } from '#base';
import { z } from 'zod';
import { tableName, tapPrefix } from './interface-names.ts';
import type { ObservedEntries } from './plan-entries.ts';
import type { NftStamps } from './render-nft-transaction.ts';

/** Number our routes carry in the kernel (RTPROT, free for users), so that only ours are ever removed. */
export const routeProtocol = 160;

const linkSchema = z.object({ ifname: z.string(), ifalias: z.string().optional(), address: z.string().optional(), flags: z.array(z.string()) });
export type ObservedLink = z.infer<typeof linkSchema>;
const tablesSchema = z.object({ nftables: z.array(z.object({
  counter: z.object({ table: z.string(), name: z.string() }).optional(),
  chain: z.object({ family: z.string(), table: z.string(), name: z.string(), policy: z.string().optional() }).optional(),
})) });

/** All links of the host, or the one of that name; empty where there is none. */
export async function observeLinks(name?: string): Promise<readonly ObservedLink[]> {
  const which = name === undefined ? [] : ['dev', name];
  const { code, stdout } = await runProcess(['ip', '-json', 'link', 'show', ...which], { okCodes: name === undefined ? [0] : [0, 1] });
  return code === 0 ? parse(z.array(linkSchema), stdout) : [];
}

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
