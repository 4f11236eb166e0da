/**
 * The record of a machine: what is wished (spec) and what was last seen (status), and its key in the store.
 * Spec and status are separate records (`machine/<id>`, `machine-status/<id>`) so that observing never
 * conflicts with wishing.
 */
import { z } from 'zod';
import { architectures } from '#base';

export const engineNames = ['qemu', 'uml', 'fake'] as const;
export type EngineName = (typeof engineNames)[number];

/** A disk as plugged into a machine. `serial` is how the guest finds it: at most 20 characters [a-z0-9-]. */
export const machineDiskSchema = z.strictObject({
  serial: z.string().regex(/^[a-z0-9-]{1,20}$/).describe('how the guest finds the disk'),
  path: z.string().describe('file on the host; linked into the machine\'s jail, never opened by name of a user'),
  format: z.enum(['raw', 'qcow2']).describe('never probed'),
  readOnly: z.boolean(),
  sizeMiB: z.int().min(16).optional().describe('the machine\'s own disk, made with this size and an empty ext4 before its first start'),
  from: z.string().optional().describe('file whose content the machine\'s own disk begins with, instead of an empty ext4'),
  backend: z.literal('vhost-user').optional().describe('served by a process of its own, which any VMM can use; without it the VMM opens the disk itself'),
  backing: z.array(z.strictObject({ path: z.string(), format: z.enum(['raw', 'qcow2']) })).max(64).optional().describe('files below it, which nobody writes, the uppermost first; none is ever followed that does not stand here'),
});
export type MachineDisk = z.infer<typeof machineDiskSchema>;

export const machineSpecSchema = z.strictObject({
  id: z.string(),
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/).describe('for people; unique among machines'),
  architecture: z.enum(architectures),
  engine: z.enum([...engineNames, 'auto']).describe('what runs it; auto chooses'),
  processors: z.int().min(1).max(64),
  memoryMiB: z.int().min(64).max(1024 * 1024),
  boot: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('guest-os') }).describe('our guest OS, which carries containers'),
    z.strictObject({ kind: z.literal('disk'), seed: z.string().optional().describe('NoCloud user-data') }).describe('firmware boots the first disk'),
  ]),
  scratchMiB: z.int().min(0).describe('size of the disk for containers\' writable layers; 0 for none'),
  disks: z.array(machineDiskSchema).describe('disks plugged in from the start; more come by attachDisk'),
  network: z.strictObject({ mac: z.string(), address: z.string() }).nullable(),
  from: z.strictObject({ machineId: z.string(), snapshotId: z.string() }).optional().describe('a snapshot with memory, of another machine, from which its first start goes on; where that cannot be it boots, and says why'),
  wanted: z.enum(['running', 'paused', 'suspended', 'stopped']),
  owner: z.string().nullable().describe('record key of what made it (`app/<id>`), null for one made by hand'),
  createdAt: z.int(),
  generation: z.int().describe('grows with every change of the spec'),
  /** Changing it asks for one restart. */
  restartToken: z.string().optional(),
});
export type MachineSpec = z.infer<typeof machineSpecSchema>;

export const machinePhases = ['defined', 'starting', 'running', 'paused', 'stopping', 'suspended', 'stopped', 'failed', 'unknown'] as const;
export type MachinePhase = (typeof machinePhases)[number];

export const machineStatusSchema = z.strictObject({
  id: z.string(),
  phase: z.enum(machinePhases),
  why: z.string().describe('why it is in this phase, for people; empty when it is as wished'),
  engine: z.enum(engineNames).nullable(),
  engineWhy: z.string().default('').describe('why that engine runs it'),
  accelerator: z.enum(['kvm', 'tcg', 'none']).nullable(),
  isolation: z.enum(['hardware', 'emulated', 'process']).nullable(),
  process: z.strictObject({ bootId: z.string(), pid: z.int(), startTicks: z.int() }).nullable(),
  guest: z.strictObject({ bootId: z.string(), kernel: z.string(), architecture: z.string() }).nullable().describe('what the agent said of itself'),
  startedAt: z.int().nullable(),
  /** Milliseconds from start to the agent's answer. */
  bootMs: z.int().nullable(),
  startedBy: z.strictObject({ way: z.enum(['cold', 'template', 'pool', 'suspended', 'snapshot']), why: z.string().describe('why it had to boot where clones are made') }).nullable().default(null).describe('how it came to run'),
  exit: z.strictObject({ code: z.int().nullable(), signal: z.string().nullable(), at: z.int(), stderr: z.string() }).nullable(),
  restarts: z.int(),
  generation: z.int().describe('generation of the spec this status answers'),
});
export type MachineStatus = z.infer<typeof machineStatusSchema>;

/** Whether its wish keeps memory of the host in use. */
export const keepsMemory = (spec: Pick<MachineSpec, 'wanted'>): boolean => spec.wanted === 'running' || spec.wanted === 'paused';

export const machineKey = (id: string): string => `machine/${id}`;
export const machineStatusKey = (id: string): string => `machine-status/${id}`;
