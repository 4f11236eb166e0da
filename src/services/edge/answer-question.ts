/**
 * What the edge says to one DNS question, or that others must be asked. Pure. Our zone is `internal`: names in it and
 * bare names never leave the host.
 */
import type { EdgeState } from './edge-state.ts';

export type Answer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  /** The name is there, but has nothing of this type. */
  | { readonly kind: 'noData' }
  | { readonly kind: 'noName' }
  | { readonly kind: 'askOthers' };

export interface Question { readonly name: string; readonly type: string }

/** The host itself, as containers see it. */
const hostName = 'host.strata.internal';

/** @param asker source address of the question; a bare name is looked for in the asker's app */
export function answerQuestion(state: EdgeState, question: Question, asker: string): Answer {
  const asked = question.name.toLowerCase().replace(/\.$/, '');
  const bare = !asked.includes('.');
  const domain = Object.hasOwn(state.domains, asker) ? state.domains[asker] : undefined;
  const name = bare && domain !== undefined ? `${asked}.${domain}` : asked;
  if (bare && domain === undefined && asked !== 'internal') return { kind: 'noName' };
  if (!bare && !isOurs(name, state.gateway)) return { kind: 'askOthers' };
  const addresses = name === hostName ? [state.gateway] : Object.hasOwn(state.names, name) ? state.names[name] as string[] : undefined;
  if (addresses === undefined) return isAbove(name, state) ? { kind: 'noData' } : { kind: 'noName' };
  if ((question.type !== 'A' && question.type !== 'ANY') || addresses.length === 0) return { kind: 'noData' };
  return { kind: 'addresses', addresses };
}

/** Names we speak for: `internal`, and the reverse names of our own network. */
function isOurs(name: string, gateway: string): boolean {
  const [first, second] = gateway.split('.');
  const reverse = `${second}.${first}.in-addr.arpa`;
  return name === 'internal' || name.endsWith('.internal') || name === reverse || name.endsWith(`.${reverse}`);
}

/** A name above one that is there exists too, though empty (RFC 8020): `shop.internal` above `web.shop.internal`. */
function isAbove(name: string, state: EdgeState): boolean {
  return name === 'internal' || hostName.endsWith(`.${name}`) || Object.keys(state.names).some((one) => one.endsWith(`.${name}`));
}
