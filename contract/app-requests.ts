/** What may be asked of apps. */
import { z } from 'zod';
import { countQuery, flagQuery, listQuery, nameField, pathField } from './fields.ts';

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
  since: z.string().max(64).regex(/^(\d{1,12}(ms|s|m|h|d)|\d{4}-\d{2}-\d{2}(T[0-9:.]+(Z|[+-]\d{2}:\d{2})?)?)$/, 'must be a span such as 30s, 10m, 2h or 1d, or a time such as 2026-11-29T12:00:00Z').optional().describe('10m, or an RFC 3339 time'),
  follow: flagQuery.optional(),
});
