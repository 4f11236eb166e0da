/**
 * The few words of libnftables' JSON language that our table needs (libnftables-json(5)), so that the table itself
 * reads like a table. Pure.
 */
export type NftValue = string | number | { readonly concat: readonly NftValue[] } | { readonly prefix: { readonly addr: string; readonly len: number } } | { readonly set: readonly NftValue[] };
export type NftExpression = Readonly<Record<string, unknown>>;
export type NftCommand = { readonly add: NftExpression } | { readonly delete: NftExpression } | { readonly flush: NftExpression };

export const meta = (key: string): NftExpression => ({ meta: { key } });
export const ct = (key: string): NftExpression => ({ ct: { key } });
export const field = (protocol: string, name: string): NftExpression => ({ payload: { protocol, field: name } });
export const concat = (...parts: readonly unknown[]): NftExpression => ({ concat: parts });
export const prefix = (addr: string, len: number): NftValue => ({ prefix: { addr, len } });

/** `left == right`; a set reference is written '@name'. */
export const is = (left: unknown, right: unknown): NftExpression => ({ match: { op: '==', left, right } });
export const isNot = (left: unknown, right: unknown): NftExpression => ({ match: { op: '!=', left, right } });
/** Some of the given flags is set (connection tracking state). */
export const among = (left: unknown, right: readonly string[]): NftExpression => ({ match: { op: 'in', left, right } });

export const accept: NftExpression = { accept: null };
export const drop: NftExpression = { drop: null };
export const jump = (target: string): NftExpression => ({ jump: { target } });
export const goTo = (target: string): NftExpression => ({ goto: { target } });
export const rejectWith = (why: string): NftExpression => ({ reject: { type: 'icmp', expr: why } });
export const resetConnection: NftExpression = { reject: { type: 'tcp reset' } };

export const sourceAddress = field('ip', 'saddr');
export const targetAddress = field('ip', 'daddr');
export const isTcp = is(meta('l4proto'), 'tcp');
