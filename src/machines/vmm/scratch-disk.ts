/**
 * The scratch disk: where containers write what need not last. Sparse, new at every start (a guest that crashed may
 * have left anything on it), without a journal because nothing on it outlives the machine.
 */
import { mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runProcess } from '#base';

/** One with the same content: of a template, whose guest may have read it already. */
export async function copyScratchDisk(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await rm(to, { force: true });
  await runProcess(['cp', '--sparse=auto', '--', from, to], { timeoutMs: 60_000 });
}

export async function makeScratchDisk(path: string, sizeMiB: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(path, { force: true });
  const file = await open(path, 'wx', 0o600);
  try { await file.truncate(sizeMiB * 1024 * 1024); } finally { await file.close(); }
  await runProcess(['mkfs.ext4', '-q', '-F', '-O', '^has_journal', '-E', 'lazy_itable_init=1,nodiscard', '-m', '0', '--', path], { timeoutMs: 60_000 });
}
