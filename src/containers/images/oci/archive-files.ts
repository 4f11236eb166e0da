/** The files of an image archive, whether it is a folder or a tar; read in place, never unpacked. */
import { constants, createReadStream, createWriteStream } from 'node:fs';
import { open, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { StrataError } from '#base';
import { segmentsOf } from '../flatten/entry-path.ts';
import { imageRefused } from '../flatten/layer.ts';
import { readTar } from '../tar/read-tar.ts';
import { TarProblem } from '../tar/read-header.ts';

export interface ArchiveFiles {
  has(name: string): Promise<boolean>;
  /** @throws StrataError `image.refused` where it is missing */
  read(name: string): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/** @param temporary where a compressed tar is uncompressed to, because it must be read at random */
export async function openArchive(path: string, temporary: string, signal?: AbortSignal): Promise<ArchiveFiles> {
  const found = await stat(path).catch(() => { throw new StrataError(`there is no image archive ${path}`, { code: 'image.notFound', kind: 'notFound', advice: 'name a file made by `docker save`, or an OCI image layout' }); });
  if (found.isDirectory()) return folderFiles(path);
  if (!found.isFile()) throw new StrataError(`${path} is neither a file nor a folder`, { code: 'image.refused', kind: 'invalid' });
  const plain = await uncompressedPath(path, temporary, signal);
  try {
    return await tarFiles(path, plain, signal);
  } catch (thrown) {
    if (plain !== path) await rm(plain, { force: true });
    throw thrown instanceof TarProblem ? imageRefused({ image: path, entry: thrown.entry }, thrown.message, thrown) : thrown;
  }
}

function folderFiles(folder: string): ArchiveFiles {
  const pathOf = (name: string) => join(folder, ...segmentsOf(name));
  return {
    has: (name) => stat(pathOf(name)).then((one) => one.isFile(), () => false),
    async *read(name) {
      const file: FileHandle = await open(pathOf(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
        .catch((cause: unknown) => { throw imageRefused({ image: folder, entry: name }, 'the file is missing or no plain file', cause); });
      try {
        if (!(await file.stat()).isFile()) throw imageRefused({ image: folder, entry: name }, 'it is no plain file');
        yield* file.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>;
      } finally { await file.close(); }
    },
    close: () => Promise.resolve(),
  };
}

interface Member { readonly offset: number; readonly size: number; readonly link: string }
const maxMembers = 20_000;

async function tarFiles(path: string, plain: string, signal?: AbortSignal): Promise<ArchiveFiles> {
  const members = new Map<string, Member>();
  for await (const { entry, offset } of readTar(createReadStream(plain, { highWaterMark: 1024 * 1024 }))) {
    signal?.throwIfAborted();
    if (entry.type === 'directory') continue;
    const name = segmentsOf(entry.path).join('/');
    if (members.has(name)) throw new TarProblem('the archive holds this file twice', entry.path);
    if (members.size >= maxMembers) throw new TarProblem(`the archive holds more than ${maxMembers} files`);
    if (entry.type === 'symlink' || entry.type === 'hardlink') members.set(name, { offset: 0, size: 0, link: linkedName(name, entry.type === 'symlink', entry.linkTarget) });
    else if (entry.type === 'file') members.set(name, { offset: offset ?? 0, size: entry.size, link: '' });
    else throw new TarProblem('an archive of images holds files and folders only', entry.path);
  }
  const find = (name: string): Member | undefined => {
    const member = members.get(name);
    return member === undefined || member.link === '' ? member : ((target) => (target?.link === '' ? target : undefined))(members.get(member.link));
  };
  return {
    has: async (name) => find(name) !== undefined,
    async *read(name) {
      const member = find(name);
      if (member === undefined) throw imageRefused({ image: path, entry: name }, 'the archive names this file but does not hold it');
      if (member.size > 0) yield* createReadStream(plain, { start: member.offset, end: member.offset + member.size - 1, highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>;
    },
    close: async () => { if (plain !== path) await rm(plain, { force: true }); },
  };
}

/** `docker save` of old links a layer it has written already: `../<id>/layer.tar`. Inside the archive only. */
function linkedName(name: string, relative: boolean, target: string): string {
  const segments = relative ? name.split('/').slice(0, -1) : [];
  for (const part of target.split('/')) {
    if (part === '..') { if (segments.pop() === undefined) throw new TarProblem('a link leads out of the archive', name); } else if (part !== '' && part !== '.') segments.push(part);
  }
  if (target.startsWith('/')) throw new TarProblem('a link leads out of the archive', name);
  return segments.join('/');
}

/** Bytes of an archive after decompression. */
const maxArchiveBytes = 64 * 1024 ** 3;
const maxArchiveRatio = 300;

async function uncompressedPath(path: string, temporary: string, signal?: AbortSignal): Promise<string> {
  const file = await open(path, 'r');
  const head = Buffer.alloc(4);
  try { await file.read(head, 0, 4, 0); } finally { await file.close(); }
  const engine = head[0] === 0x1f && head[1] === 0x8b ? createGunzip() : head.readUInt32LE(0) === 0xfd2fb528 ? createZstdDecompress() : undefined;
  if (engine === undefined) return path;
  const { size } = await stat(path);
  const most = Math.min(maxArchiveBytes, Math.max(256 * 1024 ** 2, size * maxArchiveRatio));
  let bytes = 0;
  const bounded = async function* (source: AsyncIterable<Buffer>) {
    for await (const chunk of source) {
      bytes += chunk.length;
      if (bytes > most) throw imageRefused({ image: path }, `the archive grows to more than ${most} bytes: a compression bomb`);
      yield chunk;
    }
  };
  try {
    await pipeline(createReadStream(path), engine, bounded, createWriteStream(temporary, { flags: 'wx', mode: 0o600 }), signal === undefined ? {} : { signal });
    return temporary;
  } catch (thrown) {
    await rm(temporary, { force: true });
    signal?.throwIfAborted();
    throw thrown instanceof StrataError ? thrown : imageRefused({ image: path }, `the archive's compressed data is damaged: ${(thrown as Error).message}`, thrown);
  }
}

/** A whole small file. */
export async function readWhole(files: ArchiveFiles, name: string, image: string, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of Readable.from(files.read(name)) as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > maxBytes) throw imageRefused({ image, entry: name }, `it is larger than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
