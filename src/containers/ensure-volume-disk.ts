/**
 * Makes a volume's disk where it does not exist yet: a sparse raw file with an empty ext4 on it. Made under
 * a temporary name and renamed, so a crash leaves no half-formatted volume. The sizes and options are
 * ours; nothing of a user's text reaches a command line.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runProcess, type Instance } from '#base';
import type { Records } from '#store';
import { volumePath, type Volume } from './volume.ts';

/** Idempotent. @param sizeBytes of the file system; the file is sparse. */
export async function ensureVolumeDisk(instance: Instance, id: string, sizeBytes: number): Promise<void> {
  const path = volumePath(instance, id);
  if (existsSync(path)) return;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
  await runProcess(['mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0', '--', temporary], { timeoutMs: 60_000 });
  await rename(temporary, path);
}

/** Makes the disk of a volume that is there; one that is deleted meanwhile has none in the end. */
export async function ensureVolume(instance: Instance, volumes: Records<Volume>, id: string, sizeBytes: number): Promise<void> {
  try {
    await ensureVolumeDisk(instance, id, sizeBytes);
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
