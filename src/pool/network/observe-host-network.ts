/** What the kernel holds now of this instance's links, routes, neighbours and tables, read as JSON. */
import { runProcess, StrataError, type Instance } from '#base';
import { z } from 'zod';
import { tableName, tapPrefix } from './interface-names.ts';
import type { ObservedEntries } from './plan-entries.ts';

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

/** Names of the counters in our table; empty where the table is not there. */
export async function observeCounters(instance: Instance): Promise<readonly string[]> {
  const { code, stdout } = await runProcess(['nft', '-j', 'list', 'counters', 'table', 'inet', tableName(instance)], { okCodes: [0, 1] });
  return code === 0 ? parse(countersSchema, stdout).nftables.flatMap(({ counter }) => (counter === undefined ? [] : [counter.name])) : [];
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text === '' ? '[]' : text));
  } catch (cause) {
    throw new StrataError('the host printed something else than its network', { code: 'network.unreadable', kind: 'internal', cause });
  }
}
