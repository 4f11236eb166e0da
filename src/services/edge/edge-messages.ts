/**
 * What passes over the edge's control socket (UNIX, in the instance's own folder): one line of JSON each way per
 * connection. Both sides check what they read.
 */
import type { EdgeState } from './edge-state.ts';

export type EdgeRequest = { readonly do: 'apply'; readonly state: EdgeState } | { readonly do: 'stats' } | { readonly do: 'stop' }
  /** Says nothing back: the connection stays until the edge ends. */
  | { readonly do: 'watch' };

/** The line of `watch`. */
export const watchRequest = `${JSON.stringify({ do: 'watch' } satisfies EdgeRequest)}\n`;

export interface EdgeStats {
  readonly pid: number;
  /** Connections that wait now. */
  readonly held: number;
  /** Since the edge's start: handed on, given up after the time-out, turned away over the limit. */
  readonly forwarded: number;
  readonly timedOut: number;
  readonly refused: number;
  /** Connections that came while nothing was ready, by parking id: a wish that something become ready. */
  readonly wakes: Readonly<Record<string, number>>;
  readonly names: { readonly answered: number; readonly forwarded: number; readonly failed: number };
  /** Of published UDP ports; absent in edges of before. */
  readonly datagrams?: { readonly conversations: number; readonly relayed: number; readonly dropped: number } | undefined;
  /** Addresses that could not be listened on, tried again every second. */
  readonly problems: readonly string[];
}

export type EdgeReply = { readonly stats: EdgeStats } | { readonly error: string };
