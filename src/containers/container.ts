/**
 * The record of a container: what is wished (`container/<id>`) and what was last seen
 * (`container-status/<id>`). The services layer writes wishes; the containers controller carries them
 * out through the guest's agent, which restarts, probes and logs by itself.
 */
import { z } from 'zod';
import { architectures } from '#base';
import type { GuestContainerSpec } from '#guest-protocol';

/** The guest's own specification is made by our own code (build-guest-spec.ts), so only its frame is checked here. */
const guestSpecSchema = z.custom<GuestContainerSpec>((value) => typeof value === 'object' && value !== null && 'digest' in value && 'argv' in value);

export const containerSpecSchema = z.strictObject({
  id: z.string(),
  name: z.string().describe('`<app>-<service>-<index>`'),
  appId: z.string(),
  appName: z.string(),
  service: z.string(),
  index: z.int().min(1).describe('number of the replica in its service, from 1'),
  machineId: z.string(),
  image: z.strictObject({ digest: z.string(), architecture: z.enum(architectures), reference: z.string() }),
  volumeIds: z.array(z.string()),
  address: z.string().describe('IPv4 address of its own on the host\'s bridge'),
  /** What the service asked for when the container was made; one whose service asks for something else is replaced. */
  configDigest: z.string(),
  guest: guestSpecSchema,
  /** How it is to start where it may be a clone: from the container `from`, which its machine has with the memory of another, after `command` ran in it; or as ever, and why. */
  origin: z.discriminatedUnion('way', [
    z.strictObject({ way: z.literal('clone'), from: z.string(), command: z.array(z.string()).nullable() }),
    z.strictObject({ way: z.literal('start'), why: z.string() }),
  ]).optional(),
  wanted: z.enum(['running', 'stopped']),
  /** Out of every balancer; new connections go elsewhere while open ones end. */
  draining: z.boolean(),
  drainingSince: z.int().nullable(),
  createdAt: z.int(),
  generation: z.int(),
});
export type ContainerSpec = z.infer<typeof containerSpecSchema>;

export const containerPhases = ['pending', 'starting', 'running', 'waiting', 'stopping', 'exited', 'unknown'] as const;
export type ContainerPhase = (typeof containerPhases)[number];

export const containerStatusSchema = z.strictObject({
  id: z.string(),
  machineId: z.string(),
  phase: z.enum(containerPhases).describe('waiting = pause before a restart; pending = not yet handed to the guest'),
  why: z.string().describe('why it is in this phase; empty when it is as wished'),
  digest: z.string().describe('digest of the specification that this status answers'),
  health: z.enum(['none', 'starting', 'healthy', 'unhealthy']),
  pid: z.int(),
  startedAt: z.int().nullable(),
  finishedAt: z.int().nullable(),
  exitCode: z.int().nullable(),
  oomKilled: z.boolean(),
  stopped: z.boolean().default(false).describe('it ended because that was wished, so a wish to run starts it again'),
  restarts: z.int(),
  lastProbe: z.strictObject({ at: z.int(), ok: z.boolean(), output: z.string() }).nullable(),
  startedBy: z.strictObject({ way: z.enum(['start', 'clone']), why: z.string().describe('why it was started although it was to be a clone') }).optional().describe('how its process came to run'),
  writes: z.array(z.string()).default([]).describe('ids of the volumes it writes to where it runs; nobody else is started with one of them meanwhile'),
  /** Boot of the guest in which this was seen; after another boot it says nothing of what runs. */
  guestBootId: z.string(),
});
export type ContainerStatus = z.infer<typeof containerStatusSchema>;

/** Volumes that it may write to, by id. */
export const volumesWritten = (spec: ContainerSpec): readonly string[] => [...new Set(spec.guest.mounts.flatMap((mount) => (mount.kind === 'volume' && !mount.readOnly ? [mount.serial] : [])))];

export const containerKey = (id: string): string => `container/${id}`;
export const containerStatusKey = (id: string): string => `container-status/${id}`;

/** Whether something of it may run in a guest, as far as is known. */
export function mayRun({ phase }: ContainerStatus): boolean {
  return phase !== 'pending' && phase !== 'exited';
}

/** Whether traffic may go to it: running, and healthy where it has a health check. */
export function isReady(status: ContainerStatus | undefined): boolean {
  return status?.phase === 'running' && (status.health === 'healthy' || status.health === 'none');
}
