/** What the kernel holds now of this instance's links, routes, neighbours and tables, read as JSON. */
import { runProcess, StrataError, type Instance } from '#base';
import { z } from 'zod';
import { tableName, tapPrefix } from './interface-names.ts';
import type { ObservedEntries } from './plan-entries.ts';
import type { NftStamps } from './render-nft-transaction.ts';

/** Number our routes carry in the kernel (RTPROT, free for users), so that only ours are ever removed. */
export const routeProtocol = 160;

const linkSchema = z.object({ ifname: z.string(), ifalias: z.string().optional(), address: z.string().optional(), flags: z.array(z.string()) });
export type ObservedLink = z.infer<typeof linkSchema>;
const routeSchema = z.object({ dst: z.string(), dev: z.string().optional() });
const neighbourSchema = z.object({ dst: z.string(), dev: z.string(), lladdr: z.string().optional() });
const countersSchema = z.object({ nftables: z.array(z.object({ counter: z.object({ name: z.string() }).optional() })) });

/** All links of the host, or the one of that name; empty where there is none. */
export async function observeLinks(name?: string): Promise<readonly ObservedLink[]> {
  const which = name === undefined ? [] : ['dev', name];
  const { code, stdout } = await runProcess(['ip', '-json', 'link', 'show', ...which], { okCodes: name === undefined ? [0] : [0, 1] });
  return code === 0 ? parse(z.array(linkSchema), stdout) : [];
}

/** Routes and permanent neighbours on this instance's taps. */
export async function observeEntries(instance: Instance): Promise<ObservedEntries> {
  const [links, routes, neighbours] = await Promise.all([
    observeLinks(),
    runProcess(['ip', '-json', '-4', 'route', 'show', 'proto', String(routeProtocol)]),
    runProcess(['ip', '-json', '-4', 'neighbour', 'show', 'nud', 'permanent']),
  ]);
  const ours = (device: string | undefined): device is string => device?.startsWith(tapPrefix(instance)) === true;
  return {
    taps: new Set(links.map(({ ifname }) => ifname).filter(ours)),
    routes: parse(z.array(routeSchema), routes.stdout).flatMap(({ dst, dev }) => (ours(dev) ? [{ address: dst, device: dev, mac: '' }] : [])),
    neighbours: parse(z.array(neighbourSchema), neighbours.stdout).flatMap(({ dst, dev, lladdr }) => (ours(dev) ? [{ address: dst, device: dev, mac: lladdr ?? '' }] : [])),
  };
}

/** Which rules and which state our tables carry; undefined where they are not there, whole or at all. */
export async function observeStamps(instance: Instance): Promise<NftStamps | undefined> {
  const [inet, arp] = await Promise.all([['counters', 'table', 'inet'], ['chain', 'arp']].map(([what, ...where]) => {
    const last = what === 'chain' ? ['asked'] : [];
    return runProcess(['nft', '-j', 'list', what as string, ...where, tableName(instance), ...last], { okCodes: [0, 1] });
  }));
  if (inet?.code !== 0 || arp?.code !== 0) return undefined;
  const names = parse(countersSchema, inet.stdout).nftables.flatMap(({ counter }) => (counter === undefined ? [] : [counter.name]));
  const stamp = (kind: string) => names.find((name) => name.startsWith(kind))?.slice(kind.length);
  const [rules, state] = [stamp('rules_'), stamp('state_')];
  return rules === undefined || state === undefined ? undefined : { rules, state };
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text === '' ? '[]' : text));
  } catch (cause) {
    throw new StrataError('the host printed something else than its network', { code: 'network.unreadable', kind: 'internal', cause });
  }
}
