/**
 * Files a recipe copies from its build context. Nothing outside the context is ever read: each way is
 * resolved first, and files are opened without following a link.
 */
import { constants } from 'node:fs';
import { lstat, open, readdir, readlink, realpath } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { dirname, join, resolve, sep } from 'node:path';
import { StrataError } from '#base';
import { segmentsOf } from '../flatten/entry-path.ts';
import type { Layer } from '../flatten/layer.ts';
import type { DebianRecipe } from '../image.ts';
import { tarEntry, type TarEntry } from '../tar/tar-entry.ts';
import { madeLayer } from './tar-layers.ts';

export interface ContextFile {
  readonly entry: TarEntry;
  /** On the host; '' for what has no content. */
  readonly path: string;
  /** SHA-256 of the content, or the target of a link. */
  readonly content: string;
}

const maxFiles = 100_000;

/** @throws StrataError `image.badCopy` */
export async function readContext(contextDir: string, copy: DebianRecipe['copy']): Promise<readonly ContextFile[]> {
  const root = await realpath(contextDir).catch(() => { throw badCopy(contextDir, 'there is no such build context'); });
  const files: ContextFile[] = [];
  for (const { from, to, mode } of copy) {
    const path = await confined(root, from);
    const target = targetOf(from, to);
    await collect(files, { root, from, mode }, path, target);
  }
  return files;
}

export function contextLayer(files: readonly ContextFile[]): Layer {
  return madeLayer('the files of the build context', files.map(({ entry, path }) => (entry.type === 'file' ? { entry, content: () => readFileOnce(path, entry.size) } : { entry })));
}

async function confined(root: string, from: string): Promise<string> {
  if (from.includes('\0') || from.split('/').includes('..') || from.startsWith('/')) throw badCopy(from, 'it must be a path below the build context');
  const path = await realpath(join(root, from)).catch(() => { throw badCopy(from, 'there is no such file in the build context'); });
  if (!isInside(root, path)) throw badCopy(from, 'it leads out of the build context');
  return path;
}

function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`);
}

/** `to` with a slash at the end means: into that folder, under its own name. */
function targetOf(from: string, to: string): string {
  if (!to.startsWith('/')) throw badCopy(from, `its place in the image must be absolute, not '${to}'`);
  const whole = to.endsWith('/') && to !== '/' ? `${to}${from.replace(/\/+$/, '').split('/').pop() ?? ''}` : to;
  try {
    return segmentsOf(Buffer.from(whole).toString('latin1')).join('/');
  } catch (cause) {
    throw badCopy(from, `its place in the image '${to}' is not possible: ${(cause as Error).message}`);
  }
}

interface Copying { readonly root: string; readonly from: string; readonly mode: number | undefined }

async function collect(files: ContextFile[], copying: Copying, path: string, target: string): Promise<void> {
  if (files.length >= maxFiles) throw badCopy(copying.from, `more than ${maxFiles} files`);
  const found = await lstat(path);
  const mtime = Math.floor(found.mtimeMs / 1000);
  if (found.isDirectory()) {
    if (target !== '') files.push({ entry: tarEntry({ path: target, type: 'directory' }), path: '', content: '' });
    const names = (await readdir(path, { encoding: 'buffer' })).map((name) => name.toString('latin1')).sort();
    for (const name of names) {
      if (Buffer.from(Buffer.from(name, 'latin1').toString('utf8')).toString('latin1') !== name) throw badCopy(copying.from, 'a file name in it is no UTF-8');
      await collect(files, copying, join(path, Buffer.from(name, 'latin1').toString('utf8')), target === '' ? name : `${target}/${name}`);
    }
  } else if (found.isSymbolicLink()) {
    const linkTarget = await readlink(path, { encoding: 'latin1' });
    if (linkTarget.startsWith('/') || !isInside(copying.root, resolve(dirname(path), linkTarget))) throw badCopy(copying.from, 'a symlink in it leads out of the build context');
    files.push({ entry: tarEntry({ path: target, type: 'symlink', linkTarget, mtime }), path: '', content: linkTarget });
  } else if (found.isFile()) {
    if (target === '') throw badCopy(copying.from, 'a file cannot take the place of the root');
    const mode = copying.mode ?? ((found.mode & 0o111) === 0 ? 0o644 : 0o755);
    files.push({ entry: tarEntry({ path: target, type: 'file', mode: mode & 0o7777, size: found.size, mtime }), path, content: await digestOf(path, found.size) });
  } else throw badCopy(copying.from, 'only files, folders and symlinks can be copied');
}

async function digestOf(path: string, size: number): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of readFileOnce(path, size)) hash.update(chunk);
  return hash.digest('hex');
}

/** The content as it was listed: a file that grew or shrank since is an error, not a damaged image. */
async function* readFileOnce(path: string, size: number): AsyncGenerator<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  let read = 0;
  try {
    for await (const chunk of file.createReadStream({ highWaterMark: 1024 * 1024, autoClose: false }) as AsyncIterable<Buffer>) {
      read += chunk.length;
      if (read > size) break;
      yield chunk;
    }
  } finally { await file.close(); }
  if (read !== size) throw badCopy(path, 'the file changed while it was read');
}

function badCopy(from: string, why: string): StrataError {
  return new StrataError(`copy ${from}: ${why}`, { code: 'image.badCopy', kind: 'invalid', advice: 'see `copy` of the recipe in the Compose file' });
}
