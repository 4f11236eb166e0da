/** From a tar stream a squashfs file, by squashfs-tools; appears under its name whole or not at all. */
import { spawn } from 'node:child_process';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { childEnvironment, failpoint, StrataError } from '#base';

export interface SquashfsOptions {
  readonly path: string;
  readonly tar: AsyncIterable<Buffer>;
  readonly rootMode: number;
  readonly rootOwner: { readonly uid: number; readonly gid: number };
  /** Seconds; the newest time of an entry. */
  readonly newest: number;
  /** Distinguishes the temporary names of writers; ends in `.new`. */
  readonly temporary: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** @returns its size in bytes. @throws StrataError `image.squashfs`, `image.diskFull`, or what the stream throws */
export async function writeSquashfs(options: SquashfsOptions): Promise<number> {
  try {
    await fill(options);
    failpoint('images.squashfs.written');
    await publish(options.temporary, options.path);
    return (await stat(options.path)).size;
  } finally {
    await rm(options.temporary, { force: true });
  }
}

async function fill({ temporary, tar, rootMode, rootOwner, newest, timeoutMs, signal }: SquashfsOptions): Promise<void> {
  const args = [
    '-comp', 'lz4', '-root-mode', (rootMode & 0o7777).toString(8), '-root-uid', `${rootOwner.uid}`, '-root-gid', `${rootOwner.gid}`,
    '-quiet', '-no-progress', '-exit-on-error', '-mem', '256M', temporary,
  ];
  // sqfstar 4.5 gives the root the time of now, whatever -root-time says; clamped to the newest entry it is the same tomorrow.
  const env = { ...childEnvironment, SOURCE_DATE_EPOCH: `${newest}` };
  const child = spawn('sqfstar', args, { env, stdio: ['pipe', 'ignore', 'pipe'] });
  const limit = AbortSignal.timeout(timeoutMs ?? 1_800_000);
  const kill = () => { child.kill('SIGKILL'); };
  const signals = [limit, ...(signal === undefined ? [] : [signal])];
  for (const one of signals) one.addEventListener('abort', kill, { once: true });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => { errors = (errors + chunk.toString('utf8')).slice(-4096); });
  const ended = new Promise<{ code: number | null; missing: boolean }>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => { errors = error.message; resolve({ code: -1, missing: error.code === 'ENOENT' }); });
    child.on('close', (code) => { resolve({ code, missing: false }); });
  });
  try {
    let broken: unknown;
    await pipeline(Readable.from(tar, { objectMode: false, highWaterMark: 1024 * 1024 }), child.stdin).catch((thrown: unknown) => {
      broken = thrown;
      // EPIPE only says that the other side ended; why is told by its exit.
      if ((thrown as NodeJS.ErrnoException).code !== 'EPIPE') kill();
    });
    const { code, missing } = await ended;
    signal?.throwIfAborted();
    if (broken !== undefined && (broken as NodeJS.ErrnoException).code !== 'EPIPE') throw broken;
    if (code !== 0 || broken !== undefined) throw squashfsFailure(errors, missing, limit.aborted);
  } finally {
    for (const one of signals) one.removeEventListener('abort', kill);
    kill();
    await ended;
  }
}

function squashfsFailure(errors: string, missing: boolean, late: boolean): StrataError {
  if (missing) return new StrataError('sqfstar is not installed', { code: 'process.missing', kind: 'unavailable', advice: 'run `strata doctor`; it comes with the package squashfs-tools' });
  if (/no space left/i.test(errors)) return new StrataError('the disk is full: an image cannot be written', { code: 'image.diskFull', kind: 'exhausted', advice: 'free some room, for example with `strata image prune`' });
  const text = errors.trim().split('\n').slice(-3).join(' | ').slice(-400);
  return new StrataError(late ? 'writing an image took too long' : `writing an image failed: ${text}`, { code: 'image.squashfs', kind: late ? 'timeout' : 'internal' });
}

/** Read-only, on the disk, then under its name. */
async function publish(temporary: string, path: string): Promise<void> {
  const file = await open(temporary, 'r+');
  try {
    await file.chmod(0o444);
    await file.sync();
  } finally { await file.close(); }
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try { await folder.sync(); } finally { await folder.close(); }
}
