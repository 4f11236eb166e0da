/**
 * Records of the services layer: an app as wished (`app/<id>`), as last seen (`app-status/<id>`), and
 * each service's lasting places in the network (`service/<app id>.<name>`), which outlive its containers.
 */
import { z } from 'zod';
import type { AppSpec } from './app.ts';

/** Written only by our own Compose reader (compose/), which validates it against closed schemas. */
const appSpecSchema = z.custom<AppSpec>((value) => typeof value === 'object' && value !== null && 'services' in value && 'volumes' in value);

export const appRecordSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  spec: appSpecSchema,
  /** Image chosen for each service when the app was brought up; a tag that moves later changes nothing. */
  images: z.record(z.string(), z.strictObject({ digest: z.string(), reference: z.string() })),
  /** What runs each service, chosen when the app was brought up; where a replica is already, it stays until it is replaced. */
  engines: z.record(z.string(), z.strictObject({ engine: z.enum(['qemu', 'uml']), why: z.string() })).default({}),
  wanted: z.enum(['up', 'down']),
  removeVolumes: z.boolean().describe('with wanted: down, delete the data too'),
  /** Changing it replaces every container of the named services ('' = none asked). */
  recreateToken: z.string(),
  recreateServices: z.array(z.string()),
  generation: z.int(),
  createdAt: z.int(),
  updatedAt: z.int(),
});
export type AppRecord = z.infer<typeof appRecordSchema>;

export const serviceStateNames = ['ready', 'completed', 'starting', 'waiting', 'failed', 'stopping'] as const;

export const appStatusSchema = z.strictObject({
  id: z.string(),
  generation: z.int(),
  /** Everything is as wished and nothing is left to do. */
  settled: z.boolean(),
  services: z.array(z.strictObject({
    name: z.string(),
    wanted: z.int(),
    ready: z.int(),
    state: z.enum(serviceStateNames),
    why: z.string(),
  })),
  waitingOn: z.array(z.strictObject({ kind: z.string(), subject: z.string(), why: z.string() })),
});
export type AppStatus = z.infer<typeof appStatusSchema>;

export const serviceRecordSchema = z.strictObject({
  appId: z.string(),
  appName: z.string(),
  name: z.string(),
  virtualAddress: z.string(),
  /** Ports on which the edge holds connections while no replica is ready: service port → edge port. */
  parking: z.record(z.string(), z.int()),
});
export type ServiceRecord = z.infer<typeof serviceRecordSchema>;

/** A copy of the machine of a service's replica that was ready, from which others go on. */
export const serviceTemplateSchema = z.strictObject({
  appId: z.string(),
  service: z.string(),
  configDigest: z.string(),
  /** The replica, as it was. */
  containerId: z.string(),
  machineId: z.string(),
  snapshotId: z.string(),
  state: z.enum(['taking', 'ready', 'failed']),
  why: z.string().describe('why it could not be made'),
  triedAt: z.int(),
});
export type ServiceTemplate = z.infer<typeof serviceTemplateSchema>;

export const appKey = (id: string): string => `app/${id}`;
export const serviceKey = (appId: string, name: string): string => `service/${appId}.${name}`;
