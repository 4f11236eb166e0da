/** Apps, their services, containers and volumes as the API shows them. */
import { z } from 'zod';
import { architectureField, engineField, isolationField, listOf, nameField, timeField } from './fields.ts';
import { diagnosticSchema } from './problem.ts';

export const serviceSchema = z.strictObject({
  name: nameField,
  state: z.enum(['pending', 'starting', 'running', 'degraded', 'completed', 'failed', 'stopped']),
  why: z.string().describe('why it is not as wished; empty when it is'),
  architecture: architectureField,
  engine: engineField.nullable().describe('what was chosen to run it; null for an app of an earlier version'),
  engineWhy: z.string().describe('why that engine'),
  image: z.string(),
  replicas: z.strictObject({ wanted: z.int(), running: z.int(), ready: z.int() }),
  address: z.string().nullable().describe('virtual address inside the app'),
  ports: z.array(z.strictObject({ host: z.string(), hostPort: z.int(), containerPort: z.int(), protocol: z.enum(['tcp', 'udp']) })),
}).meta({ id: 'Service' });
export type Service = z.infer<typeof serviceSchema>;

export const appSchema = z.strictObject({
  id: z.string(),
  name: nameField,
  state: z.enum(['deploying', 'running', 'degraded', 'failed', 'stopped', 'removing']),
  why: z.string().describe('why it is not as wished; empty when it is'),
  services: z.array(serviceSchema),
  addresses: z.array(z.strictObject({ service: z.string(), url: z.string().describe('http://127.0.0.1:8080 or tcp://127.0.0.1:5432') })),
  workingDir: z.string(),
  files: z.array(z.string()),
  createdAt: timeField,
  updatedAt: timeField,
  revision: z.int(),
}).meta({ id: 'App' });
export type App = z.infer<typeof appSchema>;
export const appListSchema = listOf(appSchema).meta({ id: 'AppList' });

export const containerSchema = z.strictObject({
  id: z.string(),
  name: z.string().describe('shop-web-1'),
  app: z.string(),
  service: z.string(),
  index: z.int().describe('number of the replica, from 1'),
  machine: z.string().describe('name of the machine it runs in'),
  host: z.string(),
  address: z.string().nullable(),
  phase: z.enum(['pending', 'created', 'running', 'stopping', 'waiting', 'exited', 'unknown']).describe('waiting: the pause before a restart'),
  why: z.string(),
  health: z.enum(['none', 'starting', 'healthy', 'unhealthy']),
  lastProbe: z.strictObject({ at: timeField, ok: z.boolean(), output: z.string() }).nullable(),
  restarts: z.int(),
  exitCode: z.int().nullable(),
  oomKilled: z.boolean(),
  startedBy: z.strictObject({ way: z.enum(['start', 'clone']), why: z.string().describe('why it was started, of a service whose replicas may be clones') }).nullable().describe('how its process came to run: started, or gone on with from a copy of another replica; null where it did not run yet'),
  startedAt: timeField.nullable(),
  finishedAt: timeField.nullable(),
  image: z.string(),
  imageDigest: z.string(),
  command: z.array(z.string()),
  ports: z.array(z.string()).describe('8080->80/tcp as published by its service'),
  architecture: architectureField,
  engine: engineField.nullable(),
  engineWhy: z.string().describe('why that engine runs its service'),
  isolation: isolationField.nullable(),
}).meta({ id: 'Container' });
export type Container = z.infer<typeof containerSchema>;
export const containerListSchema = listOf(containerSchema).meta({ id: 'ContainerList' });

export const volumeSchema = z.strictObject({
  id: z.string(),
  name: z.string().describe('shop_data'),
  app: z.string(),
  sizeBytes: z.int(),
  usedBytes: z.int().describe('taken on the host\'s disk'),
  usedBy: z.string().nullable().describe('name of the container that writes it'),
  createdAt: timeField,
}).meta({ id: 'Volume' });
export type Volume = z.infer<typeof volumeSchema>;
export const volumeListSchema = listOf(volumeSchema).meta({ id: 'VolumeList' });

export const resolvedAppSchema = z.strictObject({
  name: nameField,
  services: z.array(z.string()),
  volumes: z.array(z.string()),
  images: z.array(z.string()),
  yaml: z.string().describe('the resolved project; secrets redacted'),
  warnings: z.array(diagnosticSchema),
}).meta({ id: 'ResolvedApp' });
export type ResolvedApp = z.infer<typeof resolvedAppSchema>;

export const logLineSchema = z.strictObject({
  at: timeField,
  service: z.string(),
  container: z.string().describe('shop-web-1'),
  stream: z.enum(['stdout', 'stderr']),
  text: z.string(),
}).meta({ id: 'LogLine' });
export type LogLine = z.infer<typeof logLineSchema>;
