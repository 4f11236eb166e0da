/**
 * What is kept of a suspended machine: the file that QEMU wrote its memory and devices into, and a record of what both
 * depend on. The record is written last and removed first, so that what has no record is not whole.
 */
import { open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { architectures, atomicWrite } from '#base';
import { machineDiskSchema } from '../../machine.ts';
import type { MachinePlaces } from '../machine-places.ts';

const suspendedDiskSchema = z.strictObject({
  disk: machineDiskSchema,
  /** Its place on the controller, which the guest knows it by. */
  scsiId: z.int(),
  sizeBytes: z.int(),
  modifiedMs: z.number().describe('whoever writes to it meanwhile makes the memory a lie'),
});
export const layouts = ['cold', 'template', 'cold-copy', 'template-copy'] as const;
export type Layout = (typeof layouts)[number];
const suspendedRecordSchema = z.strictObject({
  qemuVersion: z.string(),
  architecture: z.enum(architectures),
  accelerator: z.enum(['kvm', 'tcg']),
  processors: z.int(),
  memoryMiB: z.int(),
  layout: z.enum(layouts).describe('how its devices lie: as of one that booted, or of a clone; and whether it went on from a snapshot'),
  mac: z.string().nullable(),
  disks: z.array(suspendedDiskSchema),
  stateBytes: z.int(),
  /** Of QEMU's command line: another version of this program may lay devices otherwise. */
  devices: z.string(),
  at: z.int(),
});
export type SuspendedRecord = z.infer<typeof suspendedRecordSchema>;
export type SuspendedDisk = z.infer<typeof suspendedDiskSchema>;

const recordFile = (places: Pick<MachinePlaces, 'stateFolder'>): string => join(places.stateFolder, 'suspended.json');
/** Memory and devices, as QEMU writes them. */
export const suspendedState = (places: Pick<MachinePlaces, 'stateFolder'>): string => join(places.stateFolder, 'suspended.state');

export async function writeSuspended(places: Pick<MachinePlaces, 'stateFolder'>, record: SuspendedRecord): Promise<void> {
  await atomicWrite(recordFile(places), JSON.stringify(record));
}

/** 'none' where nothing is kept, 'damaged' where what is kept cannot be read. */
export async function readSuspended(places: Pick<MachinePlaces, 'stateFolder'>): Promise<SuspendedRecord | 'none' | 'damaged'> {
  const text = await readFile(recordFile(places), 'utf8').catch(() => undefined);
  if (text === undefined) return 'none';
  try { return suspendedRecordSchema.parse(JSON.parse(text)); } catch { return 'damaged'; }
}

/** From here on nothing is kept; on the disk before it returns: a state that comes back after a power cut would be an old one. Its file is there still. Idempotent. */
export async function forgetSuspended(places: Pick<MachinePlaces, 'stateFolder'>): Promise<void> {
  await rm(recordFile(places), { force: true });
  const folder = await open(places.stateFolder, 'r').catch(() => undefined);
  if (folder === undefined) return; // nothing was ever kept
  try { await folder.sync(); } finally { await folder.close(); }
}

export async function dropSuspended(places: Pick<MachinePlaces, 'stateFolder'>): Promise<void> {
  await forgetSuspended(places);
  await rm(suspendedState(places), { force: true });
}

/** As the file is now; the record holds what it was. */
export async function lookAtDisk(path: string): Promise<Pick<SuspendedDisk, 'sizeBytes' | 'modifiedMs'>> {
  const { size, mtimeMs } = await stat(path);
  return { sizeBytes: size, modifiedMs: mtimeMs };
}
