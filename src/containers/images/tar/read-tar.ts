/**
 * Reads a tar archive as a stream: ustar, pax and GNU long names, base-256 numbers, extended attributes.
 *
 * Written here and not taken from a library, because two things must hold that the usual ones do not
 * give: names and attribute values byte for byte (capabilities are binary), and a refusal instead of a
 * guess for everything strange (P37).
 */
import { byteReader, StreamTruncated, type ByteReader } from './byte-reader.ts';
import { blockSize, readHeader, TarProblem, type TarHeader } from './read-header.ts';
import { readPax } from './read-pax.ts';
import { noXattrs, type TarEntry } from './tar-entry.ts';

export interface TarItem {
  readonly entry: TarEntry;
  /** Where the content begins in the archive, in bytes; only what is read from an archive has it. */
  readonly offset?: number;
  /** The content; what is not read of it is passed over when the next item is asked for. */
  readonly content: () => AsyncIterable<Buffer>;
}

/** A pax header or a long name larger than this is an attack. */
const maxMetaBytes = 1024 * 1024;
const maxPathBytes = 4096;

interface Overrides { pax: Map<string, string>; longName: string | undefined; longLink: string | undefined }

/** @throws TarProblem for whatever cannot be read without guessing */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarItem> {
  const reader = byteReader(source);
  try {
    yield* itemsOf(reader);
  } catch (thrown) {
    throw thrown instanceof StreamTruncated ? new TarProblem(thrown.message) : thrown;
  } finally {
    await reader.close();
  }
}

async function* itemsOf(reader: ByteReader): AsyncGenerator<TarItem> {
  const globals = new Map<string, string>();
  let next: Overrides = { pax: new Map(), longName: undefined, longLink: undefined };
  for (;;) {
    const block = await reader.take(blockSize);
    if (block === undefined) return;
    if (block.every((byte) => byte === 0)) {
      if (!(await reader.drain())) throw new TarProblem('there is data behind the end of the archive');
      return;
    }
    const header = readHeader(block);
    if (header.type === 'x' || header.type === 'g' || header.type === 'L' || header.type === 'K') {
      await readMeta(reader, header, next, globals);
      continue;
    }
    const entry = entryOf(header, next, globals);
    next = { pax: new Map(), longName: undefined, longLink: undefined };
    let left = entry.size;
    yield {
      entry,
      offset: reader.position(),
      content: async function* () {
        for await (const part of reader.pass(left)) { left -= part.length; yield part; }
      },
    };
    for await (const part of reader.pass(left)) left -= part.length;
    await skipPadding(reader, entry.size);
  }
}

async function readMeta(reader: ByteReader, header: TarHeader, next: Overrides, globals: Map<string, string>): Promise<void> {
  if (header.size > maxMetaBytes) throw new TarProblem(`an extended header of ${header.size} bytes is too large`, header.path);
  const block = header.size === 0 ? Buffer.alloc(0) : await reader.take(header.size);
  if (block === undefined) throw new StreamTruncated();
  await skipPadding(reader, header.size);
  const name = () => block.toString('latin1').replace(/\0+$/, '');
  if (header.type === 'L') next.longName = name();
  else if (header.type === 'K') next.longLink = name();
  else if (header.type === 'x') next.pax = readPax(block);
  else for (const [key, value] of readPax(block)) globals.set(key, value);
}

async function skipPadding(reader: ByteReader, size: number): Promise<void> {
  const padding = (blockSize - (size % blockSize)) % blockSize;
  if (padding > 0 && (await reader.take(padding)) === undefined) throw new StreamTruncated();
}

function entryOf(header: TarHeader, next: Overrides, globals: ReadonlyMap<string, string>): TarEntry {
  const field = (key: string) => next.pax.get(key) ?? globals.get(key);
  const path = field('path') ?? next.longName ?? header.path;
  const linkTarget = field('linkpath') ?? next.longLink ?? header.linkTarget;
  for (const name of [path, linkTarget]) {
    if (name.includes('\0')) throw new TarProblem('a name holds a NUL byte', path);
    if (name.length > maxPathBytes) throw new TarProblem(`a name is longer than ${maxPathBytes} bytes`, `${path.slice(0, 80)}…`);
  }
  if (path === '') throw new TarProblem('an entry has no name');
  for (const key of [...next.pax.keys(), ...globals.keys()]) {
    if (key.startsWith('GNU.sparse.')) throw new TarProblem('sparse files are not supported', path);
  }
  const type = header.type as TarEntry['type'];
  const numeric = (key: string, otherwise: number) => paxNumber(field(key), otherwise, path);
  // Only a file has content; some writers give links the size of their target.
  const size = type === 'file' ? numeric('size', header.size) : 0;
  if (type !== 'file' && type !== 'hardlink' && header.size > 0) throw new TarProblem('an entry that is no file has content', path);
  return {
    path, type, linkTarget: type === 'symlink' || type === 'hardlink' ? linkTarget : '',
    mode: header.mode, uid: numeric('uid', header.uid), gid: numeric('gid', header.gid), size,
    mtime: Math.floor(paxTime(field('mtime'), header.mtime, path)),
    deviceMajor: header.deviceMajor, deviceMinor: header.deviceMinor, xattrs: xattrsOf(next.pax),
  };
}

function paxNumber(value: string | undefined, otherwise: number, path: string): number {
  if (value === undefined) return otherwise;
  const parsed = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(parsed)) throw new TarProblem('a number in its pax header is out of range', path);
  return parsed;
}

function paxTime(value: string | undefined, otherwise: number, path: string): number {
  if (value === undefined) return otherwise;
  if (!/^-?\d{1,12}(\.\d*)?$/.test(value)) throw new TarProblem('a time in its pax header cannot be read', path);
  return Number(value);
}

function xattrsOf(pax: ReadonlyMap<string, string>): ReadonlyMap<string, Buffer> {
  const prefix = 'SCHILY.xattr.';
  let found: Map<string, Buffer> | undefined;
  for (const [key, value] of pax) {
    if (key.startsWith(prefix)) (found ??= new Map()).set(key.slice(prefix.length), Buffer.from(value, 'latin1'));
  }
  return found ?? noXattrs;
}
