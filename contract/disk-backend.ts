/** Back ends: processes that serve a disk to a VMM. */
import { z } from 'zod';
import { engineField, listOf, timeField } from './fields.ts';

const abilitySchema = z.strictObject({ name: z.string(), able: z.boolean(), why: z.string().describe('how, or why not') }).meta({ id: 'Ability' });

export const diskBackendSchema = z.strictObject({
  id: z.string(),
  name: z.string().describe('<machine>-<disk>'),
  machine: z.string(),
  disk: z.string(),
  engine: engineField.nullable().describe('of the machine\'s VMM; null until it was chosen'),
  kind: z.enum(['vhost-user-blk']).describe('as what the VMM sees it'),
  program: z.string(),
  path: z.string().describe('the disk on the host'),
  format: z.enum(['raw', 'qcow2']),
  readOnly: z.boolean(),
  phase: z.enum(['running', 'failed', 'stopped', 'unknown']),
  why: z.string().describe('why it is in this phase; empty when it is as wished'),
  pid: z.int().nullable(),
  restarts: z.int(),
  startedAt: timeField.nullable(),
  abilities: z.array(abilitySchema).describe('what can be done with it under its machine, and why not'),
}).meta({ id: 'DiskBackend' });
export type DiskBackend = z.infer<typeof diskBackendSchema>;
export const diskBackendListSchema = listOf(diskBackendSchema).meta({ id: 'DiskBackendList' });

export const backendLogSchema = listOf(z.strictObject({ at: timeField, text: z.string() })).meta({ id: 'BackendLog' });
export type BackendLog = z.infer<typeof backendLogSchema>;

export const backendRestartSchema = z.strictObject({
  force: z.boolean().default(false).describe('also where the machine has to be restarted with it'),
}).meta({ id: 'BackendRestart' });
