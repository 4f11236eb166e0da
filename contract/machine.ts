/** Machines as the API shows them: what is wished and what was last seen, in one view. */
import { z } from 'zod';
import { architectureField, countQuery, engineField, flagQuery, isolationField, listOf, nameField, timeField } from './fields.ts';
import { machineActions, machinePhases } from './permitted-actions.ts';

const permissionSchema = z.strictObject({ permitted: z.boolean(), reason: z.string().describe('why not; empty where permitted') }).meta({ id: 'Permission' });

export const machineSchema = z.strictObject({
  id: z.string(),
  name: nameField,
  host: z.string().describe('name of the host that carries it'),
  architecture: architectureField,
  engine: engineField.nullable().describe('null until it was chosen'),
  accelerator: z.enum(['kvm', 'tcg', 'none']).nullable(),
  isolation: isolationField.nullable(),
  processors: z.int(),
  memoryMiB: z.int(),
  address: z.string().nullable(),
  app: z.string().nullable().describe('the app it was made for; null for one made by hand'),
  wanted: z.enum(['running', 'stopped']),
  phase: z.enum(machinePhases),
  why: z.string().describe('why it is in this phase; empty when it is as wished'),
  guest: z.strictObject({ bootId: z.string(), kernel: z.string(), architecture: z.string() }).nullable(),
  pid: z.int().nullable().describe('of its VMM on the host'),
  restarts: z.int(),
  exit: z.strictObject({ code: z.int().nullable(), signal: z.string().nullable(), at: timeField, stderr: z.string() }).nullable().describe('how it last ended'),
  bootMs: z.int().nullable().describe('milliseconds from start to the agent\'s answer'),
  startedAt: timeField.nullable(),
  createdAt: timeField,
  actions: z.record(z.enum(machineActions), permissionSchema),
  revision: z.int().describe('of its wish; the ETag'),
}).meta({ id: 'Machine' });
export type Machine = z.infer<typeof machineSchema>;
export const machineListSchema = listOf(machineSchema).meta({ id: 'MachineList' });

export const machineCreateSchema = z.strictObject({
  name: nameField,
  architecture: architectureField.optional().describe('default: the host\'s'),
  engine: z.enum(['auto', 'qemu', 'uml', 'fake']).default('auto'),
  processors: z.int().min(1).max(64).default(1),
  memoryMiB: z.int().min(64).max(1024 * 1024).default(256),
  scratchMiB: z.int().min(0).max(1024 * 1024).default(1024).describe('disk for what is written inside'),
  start: z.boolean().default(true),
}).meta({ id: 'MachineCreate' });
export type MachineCreate = z.infer<typeof machineCreateSchema>;

export const machineStopSchema = z.strictObject({
  force: z.boolean().default(false).describe('cut the power instead of asking the guest'),
}).meta({ id: 'MachineStop' });

export const machineRemoveQuery = z.strictObject({ force: flagQuery.optional().describe('also one that runs') });
export const machineLogsQuery = z.strictObject({ follow: flagQuery.optional(), tail: countQuery.optional().describe('only the last lines') });
export const consoleLineSchema = z.strictObject({ text: z.string() }).meta({ id: 'ConsoleLine' });
export type ConsoleLine = z.infer<typeof consoleLineSchema>;

const size = z.strictObject({ rows: z.int().min(1).max(10_000), columns: z.int().min(1).max(10_000) });
export const terminalSizeSchema = size.meta({ id: 'TerminalSize' });
export type TerminalSize = z.infer<typeof terminalSizeSchema>;

/** First frame of an exec stream. */
export const execRequestSchema = z.strictObject({
  argv: z.array(z.string().max(131_072)).min(1).max(4096),
  env: z.array(z.string().max(131_072)).max(4096).default([]).describe('NAME=value'),
  cwd: z.string().max(4096).default('').describe('empty: the container\'s own'),
  user: z.string().max(256).default('').describe('empty: the container\'s own'),
  tty: size.nullable().default(null).describe('null: no terminal'),
  stdin: z.boolean().default(true),
}).meta({ id: 'ExecRequest' });
export type ExecRequest = z.infer<typeof execRequestSchema>;
export type ExecRequestInput = z.input<typeof execRequestSchema>;

/** First frame of a console stream. */
export const consoleRequestSchema = z.strictObject({}).meta({ id: 'ConsoleRequest' });
