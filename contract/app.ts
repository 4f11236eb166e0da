/** Apps, their services, containers and volumes as the API shows them, and the requests that change them. */
import { z } from 'zod';
import { architectureField, countQuery, engineField, flagQuery, isolationField, listOf, listQuery, nameField, pathField, timeField } from './fields.ts';
import { diagnosticSchema } from './problem.ts';

export const serviceSchema = z.strictObject({
  name: nameField,
  state: z.enum(['pending', 'starting', 'running', 'degraded', 'completed', 'failed', 'stopped']),
  why: z.string().describe('why it is not as wished; empty when it is'),
  architecture: architectureField,
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
  startedAt: timeField.nullable(),
  finishedAt: timeField.nullable(),
  image: z.string(),
  imageDigest: z.string(),
  command: z.array(z.string()),
  ports: z.array(z.string()).describe('8080->80/tcp as published by its service'),
  architecture: architectureField,
  engine: engineField.nullable(),
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

/** Where a Compose project is and how to read it; the same for `up` and `config`. */
const composeSource = {
  workingDir: pathField.describe('folder that relative paths start from'),
  files: z.array(pathField).max(32).default([]).describe('empty: compose.yaml and its kin in workingDir, with the override file'),
  envFiles: z.array(pathField).max(32).default([]).describe('empty: .env in workingDir'),
  profiles: z.array(z.string().min(1).max(255)).max(64).default([]),
  env: z.record(z.string().min(1).max(4096), z.string().max(131_072)).default({}).describe('for interpolation; not stored'),
};

export const appResolveSchema = z.strictObject({
  ...composeSource,
  projectName: nameField.optional().describe('default: as the file or its folder says'),
}).meta({ id: 'AppResolve' });
export type AppResolve = z.infer<typeof appResolveSchema>;
export type AppResolveInput = z.input<typeof appResolveSchema>;

export const resolvedAppSchema = z.strictObject({
  name: nameField,
  services: z.array(z.string()),
  volumes: z.array(z.string()),
  images: z.array(z.string()),
  yaml: z.string().describe('the resolved project; secrets redacted'),
  warnings: z.array(diagnosticSchema),
}).meta({ id: 'ResolvedApp' });
export type ResolvedApp = z.infer<typeof resolvedAppSchema>;

export const appPutSchema = z.strictObject({
  ...composeSource,
  services: z.array(nameField).max(256).default([]).describe('only these and what they depend on; empty: all'),
  build: z.boolean().default(false).describe('build images even if they exist'),
  forceRecreate: z.boolean().default(false),
  pull: z.enum(['always', 'missing', 'never']).optional().describe('overrides the pull policy of the file'),
  removeOrphans: z.boolean().default(false),
  timeoutSeconds: z.int().min(1).max(86_400).default(600).describe('limit for all to become healthy'),
  dryRun: z.boolean().default(false).describe('the operation shows its steps and does none'),
}).meta({ id: 'AppPut' });
export type AppPut = z.infer<typeof appPutSchema>;
export type AppPutInput = z.input<typeof appPutSchema>;

export const appRemoveQuery = z.strictObject({
  volumes: flagQuery.optional().describe('also the named volumes and what is in them'),
  timeout: countQuery.optional().describe('seconds of grace; default: as each service says'),
});

export const appActionSchema = z.strictObject({
  services: z.array(nameField).max(256).default([]).describe('empty: all'),
  timeoutSeconds: z.int().min(0).max(86_400).optional(),
}).meta({ id: 'AppAction' });
export type AppAction = z.infer<typeof appActionSchema>;

export const appLogsQuery = z.strictObject({
  service: listQuery.optional(),
  tail: countQuery.optional().describe('last lines of each container'),
  since: z.string().max(64).regex(/^(\d{1,12}(ms|s|m|h|d)|\d{4}-\d{2}-\d{2}(T[0-9:.]+(Z|[+-]\d{2}:\d{2})?)?)$/).optional().describe('10m, or an RFC 3339 time'),
  follow: flagQuery.optional(),
});

export const logLineSchema = z.strictObject({
  at: timeField,
  service: z.string(),
  container: z.string().describe('shop-web-1'),
  stream: z.enum(['stdout', 'stderr']),
  text: z.string(),
}).meta({ id: 'LogLine' });
export type LogLine = z.infer<typeof logLineSchema>;
