/** Disks of volumes: made where one does not exist yet, deleted with the volume. */
import { rm } from 'node:fs/promises';
import type { Instance } from '#base';
import { makeExt4Disk, type FormatDisk } from '#machines';
import type { Records } from '#store';
import { volumePath, type Volume } from './volume.ts';

/** Idempotent. @param sizeBytes of the file system; the file is sparse. */
export const ensureVolumeDisk = (instance: Instance, id: string, sizeBytes: number, format?: FormatDisk): Promise<void> => makeExt4Disk(volumePath(instance, id), sizeBytes, format);

/** Makes the disk of a volume that is there; one that is deleted meanwhile has none in the end. */
export async function ensureVolume(instance: Instance, volumes: Records<Volume>, id: string, sizeBytes: number, format?: FormatDisk): Promise<void> {
  try {
    await ensureVolumeDisk(instance, id, sizeBytes, format);
  } finally {
    if (await volumes.get(id) === undefined) await removeVolumeDisk(instance, id);
  }
}

/** Deletes a volume and its data; idempotent. The disk goes first, and again after the record: somebody may have been making it. */
export async function deleteVolume(instance: Instance, volumes: Records<Volume>, id: string): Promise<void> {
  await removeVolumeDisk(instance, id);
  await volumes.delete(id);
  await removeVolumeDisk(instance, id);
}

/** Deletes the disk; idempotent. Only for a volume whose record goes. */
export async function removeVolumeDisk(instance: Instance, id: string): Promise<void> {
  await rm(volumePath(instance, id), { force: true });
  await rm(`${volumePath(instance, id)}.new`, { force: true });
}
