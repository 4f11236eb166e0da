/** The record of a host: what it is, what it can run, what is promised and what is free (`host/<id>`). */
import { z } from 'zod';
import { architectures } from '#base';

/** What a guest proved by running; handed in by the layer that runs guests. */
export const proofSchema = z.strictObject({
  architecture: z.enum(architectures),
  engine: z.string(),
  accelerator: z.enum(['kvm', 'tcg', 'none']),
  works: z.boolean(),
  evidence: z.string(),
});
export type Proof = z.infer<typeof proofSchema>;

/** Sums over the machines that are wished running on the host. */
export const promisedSchema = z.strictObject({ machines: z.int(), processors: z.int(), memoryMiB: z.int(), diskBytes: z.int() });
export type Promised = z.infer<typeof promisedSchema>;

export const hostSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  architecture: z.enum(architectures),
  state: z.enum(['ready', 'draining', 'unreachable']),
  kernel: z.string(),
  bootId: z.string(),
  bootedAt: z.int(),
  processors: z.strictObject({ model: z.string(), count: z.int(), load1: z.number() }),
  memory: z.strictObject({ totalMiB: z.int(), availableMiB: z.int().describe('by the kernel\'s own estimate') }),
  disk: z.strictObject({ path: z.string(), totalBytes: z.int(), freeBytes: z.int() }),
  proofs: z.array(proofSchema),
  promised: promisedSchema,
  observedAt: z.int(),
});
export type Host = z.infer<typeof hostSchema>;

export const hostKey = (id: string): string => `host/${id}`;
