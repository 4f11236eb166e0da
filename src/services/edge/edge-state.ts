/**
 * What the daemon tells the edge: names to answer, connections to park, published UDP ports. The edge is its own small
 * process (bin/strata-edge.ts) that survives the daemon and keeps its last state in a file.
 */
import { z } from 'zod';

export const edgeStateSchema = z.strictObject({
  gateway: z.string().describe('address on the bridge where DNS answers'),
  /** Fully qualified name without the final dot → addresses: 'web.shop.internal' → virtual address; 'web-1.shop.internal' → replica. */
  names: z.record(z.string(), z.array(z.string())),
  /** Source address of a container → the search domain of its app ('shop.internal'), so that bare names resolve. */
  domains: z.record(z.string(), z.string()),
  /** Parking: a listening port of the edge ↔ where to forward once ready. `ready` empty = hold. */
  parking: z.array(z.strictObject({
    id: z.string(),
    port: z.int().describe('port the edge listens on, on the gateway address'),
    ready: z.array(z.strictObject({ address: z.string(), port: z.int() })),
    limit: z.int().describe('connections held at most'),
    timeoutMs: z.int(),
    mode: z.enum(['http', 'tcp']).describe('http answers 503 with Retry-After on time-out; tcp closes'),
  })),
  /** Published UDP ports; left out where there are none, as edges of before know no such thing. */
  datagrams: z.array(z.strictObject({
    id: z.string(),
    address: z.string().describe('of the host, to listen on'),
    port: z.int(),
    ready: z.array(z.strictObject({ address: z.string(), port: z.int() })),
    limit: z.int().describe('clients at once'),
    idleMs: z.int().describe('a conversation is over after so much silence of both sides'),
  })).optional(),
  upstream: z.array(z.string()).describe('DNS servers asked for other names'),
});
export type EdgeState = z.infer<typeof edgeStateSchema>;
