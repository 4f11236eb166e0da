/** What may be asked of machines, and the first frames of exec and console streams. */
import { z } from 'zod';
import { architectureField, countQuery, flagQuery, nameField, pathField } from './fields.ts';

export const machineCreateSchema = z.strictObject({
  name: nameField,
  architecture: architectureField.optional().describe('default: the host\'s'),
  engine: z.enum(['auto', 'qemu', 'uml', 'fake']).default('auto'),
  processors: z.int().min(1).max(64).default(1),
  memoryMiB: z.int().min(64).max(1024 * 1024).default(256),
  scratchMiB: z.int().min(0).max(1024 * 1024).default(1024).describe('disk for what is written inside'),
  disks: z.array(z.strictObject({
    name: z.string().regex(/^[a-z0-9-]{1,20}$/, 'must be of lower-case letters, digits and hyphens, at most 20').refine((name) => name !== 'scratch', 'scratch is the name of the machine\'s own disk').describe('by which the guest finds it'),
    sizeMiB: z.int().min(16).max(16 * 1024 * 1024).optional().describe('with an empty ext4'),
    from: pathField.optional().describe('raw file on the host whose content it begins with'),
    backend: z.enum(['vmm', 'vhost-user']).default('vmm').describe('what serves it: the machine\'s VMM, or a process of its own'),
  }).refine((disk) => (disk.sizeMiB === undefined) !== (disk.from === undefined), 'a disk has either sizeMiB or from')).max(14).refine((disks) => new Set(disks.map((disk) => disk.name)).size === disks.length, 'each disk has a name of its own').default([]).describe('further disks; removed with the machine'),
  start: z.boolean().default(true),
}).meta({ id: 'MachineCreate' });
export type MachineCreate = z.infer<typeof machineCreateSchema>;

export const diskGrowSchema = z.strictObject({ sizeMiB: z.int().min(16).max(16 * 1024 * 1024) }).meta({ id: 'DiskGrow' });
export const diskCopySchema = z.strictObject({
  path: pathField.describe('file on the host that is to be made'),
  snapshot: z.string().min(1).max(64).optional().describe('copy this snapshot, not the disk as it is'),
}).meta({ id: 'DiskCopy' });
export const diskSnapshotCreateSchema = z.strictObject({ name: nameField.optional().describe('default: snap-1, snap-2') }).meta({ id: 'DiskSnapshotCreate' });

export const diskCloneSchema = z.strictObject({
  name: nameField.describe('of the new machine that gets the disk'),
  snapshot: z.string().min(1).max(64).optional().describe('clone this snapshot, not the disk as it is'),
  full: z.boolean().default(false).describe('with a file of its own, which shares nothing'),
  architecture: architectureField.optional().describe('of the new machine; default: as the one whose disk it is'),
  engine: z.enum(['auto', 'qemu', 'uml', 'fake']).optional().describe('of the new machine; default: as the one whose disk it is'),
  backend: z.enum(['vmm', 'vhost-user']).optional().describe('what serves the new disk; default: as the one it is cloned from'),
  start: z.boolean().default(false),
}).meta({ id: 'DiskClone' });
export type DiskClone = z.infer<typeof diskCloneSchema>;

export const machineStopSchema = z.strictObject({
  force: z.boolean().default(false).describe('cut the power instead of asking the guest'),
}).meta({ id: 'MachineStop' });

export const snapshotCreateSchema = z.strictObject({
  name: nameField.optional().describe('default: snap-1, snap-2'),
  memory: z.boolean().default(false).describe('with what the machine has in memory: a restore goes on from there instead of booting'),
}).meta({ id: 'SnapshotCreate' });
export type SnapshotCreate = z.infer<typeof snapshotCreateSchema>;

export const machineCloneSchema = z.strictObject({
  name: nameField,
  snapshot: z.string().min(1).max(64).optional().describe('clone this snapshot, not the machine as it is'),
  full: z.boolean().default(false).describe('with disks of its own, which share nothing'),
  start: z.boolean().default(false),
}).meta({ id: 'MachineClone' });
export type MachineClone = z.infer<typeof machineCloneSchema>;

export const machineForkSchema = z.strictObject({ name: nameField }).meta({ id: 'MachineFork' });

export const machineRemoveQuery = z.strictObject({ force: flagQuery.optional().describe('also one that runs') });
export const machineLogsQuery = z.strictObject({ follow: flagQuery.optional(), tail: countQuery.optional().describe('only the last lines') });
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
