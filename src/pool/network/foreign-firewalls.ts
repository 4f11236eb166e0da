/**
 * Docker and its like set the host's old `filter FORWARD` chain to "drop". A packet must pass every chain of a hook,
 * so ours could never let it through. There we put two lines in front that hand packets of our taps on; what may
 * pass is still decided by our own table. Docker keeps the chain DOCKER-USER for exactly this.
 */
import { runProcess, type Instance } from '#base';
import { z } from 'zod';
import { tableName, tapPrefix } from './interface-names.ts';
import { accept, is, meta, type NftExpression } from './nft-expressions.ts';
import { runNft } from './run-nft.ts';

const listSchema = z.object({ nftables: z.array(z.looseObject({
  chain: z.object({ name: z.string(), policy: z.string().optional() }).optional(),
  rule: z.object({ chain: z.string(), handle: z.int(), comment: z.string().optional() }).optional(),
})) });

const place = { family: 'ip', table: 'filter' } as const;

/** Idempotent; does nothing on a host whose forwarding nobody else closes. */
export async function allowForwarding(instance: Instance): Promise<void> {
  const seen = await lookAtForward(instance);
  if (seen === undefined || !seen.closed || seen.ours.length >= 2) return;
  await removeRules(instance, seen.ours);
  const comment = tableName(instance);
  const directions: NftExpression[] = [is(meta('iifname'), `${tapPrefix(instance)}*`), is(meta('oifname'), `${tapPrefix(instance)}*`)];
  await nft(instance, directions.map((direction) => ({ insert: { rule: { ...place, chain: seen.chain, comment, expr: [direction, accept] } } })));
}

/** Takes our lines out again. */
export async function forgetForwarding(instance: Instance): Promise<void> {
  const seen = await lookAtForward(instance);
  if (seen !== undefined) await removeRules(instance, seen.ours);
}

interface OurRule { readonly chain: string; readonly handle: number }

async function lookAtForward(instance: Instance): Promise<{ readonly closed: boolean; readonly chain: string; readonly ours: readonly OurRule[] } | undefined> {
  const { code, stdout } = await runProcess(['nft', '-j', 'list', 'table', 'ip', 'filter'], { okCodes: [0, 1] });
  if (code !== 0) return undefined;
  const parsed = listSchema.safeParse(JSON.parse(stdout));
  if (!parsed.success) return undefined; // a table with this name that is nothing like iptables' own
  const chains = parsed.data.nftables.flatMap(({ chain }) => (chain === undefined ? [] : [chain]));
  const rules = parsed.data.nftables.flatMap(({ rule }) => (rule === undefined ? [] : [rule]));
  return {
    closed: chains.some(({ name, policy }) => name === 'FORWARD' && policy === 'drop'),
    chain: chains.some(({ name }) => name === 'DOCKER-USER') ? 'DOCKER-USER' : 'FORWARD',
    ours: rules.filter(({ comment }) => comment === tableName(instance)),
  };
}

async function removeRules(instance: Instance, rules: readonly OurRule[]): Promise<void> {
  if (rules.length > 0) await nft(instance, rules.map(({ chain, handle }) => ({ delete: { rule: { ...place, chain, handle } } })));
}

async function nft(instance: Instance, commands: readonly unknown[]): Promise<void> {
  await runNft(instance, JSON.stringify({ nftables: commands }));
}
