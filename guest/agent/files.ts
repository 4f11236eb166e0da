/** Small files, folders and mounts, with errors that name the path. */
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';
import { textOf } from './text.ts';

const EEXIST = -17;
const ENOENT = -2;

export class FileError extends Error {
  override readonly name = 'FileError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export function openFile(path: string, flags: number, mode = 0o600): number {
  const fd = os.open(path, flags, mode);
  if (fd < 0) throw new FileError(fd === ENOENT ? 'notFound' : 'cannotOpen', `cannot open ${path} (${-fd})`);
  return fd;
}

/** A small file as text; undefined where there is none. */
export function readText(path: string): string | undefined {
  return sys.readText(path) ?? undefined;
}

export function writeBytes(path: string, bytes: Uint8Array, mode: number, append = false): void {
  const fd = openFile(path, os.O_WRONLY | os.O_CREAT | (append ? os.O_APPEND : os.O_TRUNC), mode);
  try {
    let at = 0;
    while (at < bytes.length) at += Math.max(0, sys.write(fd, bytes.buffer as ArrayBuffer, bytes.byteOffset + at, bytes.length - at));
  } finally {
    os.close(fd);
  }
  if (!append) sys.chmod(path, mode);
}

export function writeText(path: string, text: string, mode = 0o644): void {
  writeBytes(path, new Uint8Array(sys.encode(text)), mode);
}

/** Writes to a file of the kernel's: no creation, no mode. */
export function setKernelValue(path: string, value: string): void {
  const fd = openFile(path, os.O_WRONLY);
  try {
    const bytes = sys.encode(value);
    sys.write(fd, bytes, 0, bytes.byteLength);
  } finally {
    os.close(fd);
  }
}

/** Up to `length` bytes from `offset`. */
export function readBytes(path: string, offset: number, length: number): Uint8Array {
  const fd = openFile(path, os.O_RDONLY);
  try {
    if (offset > 0) os.seek(fd, offset, std.SEEK_SET);
    const buffer = new ArrayBuffer(length);
    let got = 0;
    while (got < length) {
      const piece = new ArrayBuffer(Math.min(65_536, length - got));
      const count = sys.read(fd, piece);
      if (count <= 0) break;
      new Uint8Array(buffer, got).set(new Uint8Array(piece, 0, count));
      got += count;
    }
    return new Uint8Array(buffer, 0, got);
  } finally {
    os.close(fd);
  }
}

export const readAllText = (path: string): string => textOf(readBytes(path, 0, 1024 * 1024));

export function exists(path: string): boolean {
  return os.lstat(path)[1] === 0;
}

/** mkdir -p. */
export function makeFolder(path: string, mode = 0o755): void {
  let at = '';
  for (const part of path.split('/').filter((one) => one !== '')) {
    at += `/${part}`;
    const result = os.mkdir(at, mode);
    if (result < 0 && result !== EEXIST) throw new FileError('cannotMake', `cannot make folder ${at} (${-result})`);
  }
}

export function listFolder(path: string): string[] {
  const [names, error] = os.readdir(path);
  return error === 0 ? names.filter((name) => name !== '.' && name !== '..') : [];
}

/** rm -rf below one file system; never follows links. */
export function removeTree(path: string): void {
  const [stat, error] = os.lstat(path);
  if (error !== 0 || stat === null) return;
  if ((stat.mode & 0o170000) === 0o040000) for (const name of listFolder(path)) removeTree(`${path}/${name}`);
  os.remove(path);
}

/** Whether something is mounted exactly there. */
export function isMounted(target: string): boolean {
  return (readText('/proc/mounts') ?? '').split('\n').some((line) => line.split(' ')[1] === target);
}

const MNT_DETACH = 2;

/** Unmounts and forgets errors of what is not mounted. */
export function unmount(target: string): void {
  if (!isMounted(target)) return;
  sys.umount(target, MNT_DETACH);
}
