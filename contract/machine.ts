/** Machines as the API shows them: what is wished and what was last seen, in one view. */
import { z } from 'zod';
import { architectureField, engineField, isolationField, listOf, nameField, timeField } from './fields.ts';
import { machineActions, machinePhases } from './permitted-actions.ts';

const permissionSchema = z.strictObject({ permitted: z.boolean(), reason: z.string().describe('why not; empty where permitted') }).meta({ id: 'Permission' });

export const machineSchema = z.strictObject({
  id: z.string(),
  name: nameField,
  host: z.string().describe('name of the host that carries it'),
  architecture: architectureField,
  engine: engineField.nullable().describe('null until it was chosen'),
  engineWhy: z.string().describe('why that engine; empty until one was chosen'),
  accelerator: z.enum(['kvm', 'tcg', 'none']).nullable(),
  isolation: isolationField.nullable(),
  processors: z.int(),
  memoryMiB: z.int(),
  address: z.string().nullable(),
  disks: z.array(z.strictObject({ name: z.string(), format: z.enum(['raw', 'qcow2']), backend: z.enum(['vmm', 'vhost-user']).describe('what serves it') })).describe('plugged in from its start, beside its scratch disk'),
  app: z.string().nullable().describe('the app it was made for; null for one made by hand'),
  wanted: z.enum(['running', 'paused', 'suspended', 'stopped']),
  phase: z.enum(machinePhases),
  why: z.string().describe('why it is in this phase; empty when it is as wished'),
  guest: z.strictObject({ bootId: z.string(), kernel: z.string(), architecture: z.string() }).nullable(),
  pid: z.int().nullable().describe('of its VMM on the host'),
  restarts: z.int(),
  exit: z.strictObject({ code: z.int().nullable(), signal: z.string().nullable(), at: timeField, stderr: z.string() }).nullable().describe('how it last ended'),
  bootMs: z.int().nullable().describe('milliseconds from start to the agent\'s answer'),
  startedBy: z.strictObject({ way: z.enum(['cold', 'template', 'pool', 'suspended', 'snapshot']), why: z.string().describe('why it had to boot where it need not') }).nullable().describe('how it came to run: by a boot, as a clone of a template, as a pooled machine that had run already, from where it was suspended, or from a copy of memory; null where it does not run'),
  startedAt: timeField.nullable(),
  createdAt: timeField,
  actions: z.record(z.enum(machineActions), permissionSchema),
  revision: z.int().describe('of its wish; the ETag'),
}).meta({ id: 'Machine' });
export type Machine = z.infer<typeof machineSchema>;
export const machineListSchema = listOf(machineSchema).meta({ id: 'MachineList' });

export const pooledMachinesSchema = z.strictObject({
  key: z.string().describe('changes with whatever a machine must have in common with them'),
  engine: engineField,
  architecture: architectureField,
  accelerator: z.enum(['kvm', 'tcg', 'none']),
  processors: z.int(),
  memoryMiB: z.int(),
  scratchMiB: z.int(),
  card: z.boolean().describe('they have a network card'),
  size: z.int().describe('how many are wanted'),
  ready: z.int().describe('how many there are'),
  heldBytes: z.int().describe('memory the host has back when they end'),
  hits: z.int().describe('starts that took one, since the daemon runs'),
  misses: z.int().describe('starts that found none'),
  refills: z.int().describe('how many were made'),
  refillMs: z.int().nullable().describe('how long the last took in the background; null where none was made yet'),
  why: z.string().describe('why there are fewer than wanted; empty where there are not'),
}).meta({ id: 'PooledMachines' });
export type PooledMachines = z.infer<typeof pooledMachinesSchema>;
export const pooledMachinesListSchema = listOf(pooledMachinesSchema).meta({ id: 'PooledMachinesList' });

export const snapshotSchema = z.strictObject({
  id: z.string(),
  name: nameField,
  machine: nameField,
  memory: z.boolean().describe('a restore goes on from it instead of booting'),
  disks: z.array(z.string()).describe('serials of the disks it holds'),
  createdAt: timeField,
}).meta({ id: 'Snapshot' });
export type Snapshot = z.infer<typeof snapshotSchema>;
export const snapshotListSchema = listOf(snapshotSchema).meta({ id: 'SnapshotList' });

export const consoleLineSchema = z.strictObject({ text: z.string() }).meta({ id: 'ConsoleLine' });
export type ConsoleLine = z.infer<typeof consoleLineSchema>;
