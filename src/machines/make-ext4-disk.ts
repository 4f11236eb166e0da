/**
 * Makes a disk where there is none yet: a sparse raw file with an empty ext4 on it. Made under a temporary name and
 * renamed, so a crash leaves no half-formatted disk. The sizes and options are ours; nothing of a user's text reaches a
 * command line.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runProcess } from '#base';

/** Makes a file system in a file that is all empty. */
export type FormatDisk = (path: string) => Promise<void>;

const formatExt4: FormatDisk = async (path) => {
  await runProcess(['mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0', '--', path], { timeoutMs: 60_000 });
};

/** Idempotent. @param sizeBytes of the file system; the file is sparse. @param format a stand-in, for worlds in memory */
export async function makeExt4Disk(path: string, sizeBytes: number, format: FormatDisk = formatExt4): Promise<void> {
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
  await format(temporary);
  await rename(temporary, path);
}
