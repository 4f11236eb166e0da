/** Compiles the small client, where it is missing or older than its source. */
import { execFile } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { residentClient } from './places.ts';

const source = fileURLToPath(new URL('client.c', import.meta.url));

/** The compiler is there wherever a daemon is: the host's preparation installs it for the launcher. @throws where it fails */
export async function ensureClient(path: string = residentClient): Promise<void> {
  const made = statSync(path, { throwIfNoEntry: false });
  if (made !== undefined && made.mtimeMs >= statSync(source).mtimeMs) return;
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${process.pid}`;
  try {
    await promisify(execFile)('gcc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-static', '-o', fresh, source], { timeout: 60_000 });
    renameSync(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
}
