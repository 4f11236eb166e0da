/** Small files, folders and mounts, with errors that name the path. */
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';
import { textOf } from './text.ts';

const EEXIST = -17;
const ENOENT = -2;
const kinds = { mask: 0o170000, folder: 0o040000, link: 0o120000, file: 0o100000 };

/** An error the host is told with a code of its own. */
export class FileError extends Error {
  override readonly name = 'FileError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export function openFile(path: string, flags: number, mode = 0o600): number {
  return opened(os.open(path, flags, mode), path);
}

function opened(fd: number, path: string): number {
  if (fd < 0) throw new FileError(fd === ENOENT ? 'notFound' : 'cannotOpen', fd === ENOENT ? `there is no ${path}` : `cannot open ${path} (error ${-fd})`);
  return fd;
}

/** A small file as text; undefined where there is none. */
export function readText(path: string): string | undefined {
  return sys.readText(path) ?? undefined;
}

const maxTextBytes = 1024 * 1024;

/** The same for a regular file inside another root, whose links never lead out of it; '' where there is none. */
export function readTextIn(root: string, path: string): string {
  const fd = sys.openIn(root, path, 0, 0);
  if (fd < 0) return '';
  try {
    demandFile(fd, path);
    return textOf(readFrom(fd, 0, maxTextBytes));
  } finally {
    os.close(fd);
  }
}

export function writeBytes(path: string, bytes: Uint8Array, mode: number): void {
  const fd = openFile(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode);
  try { writeAll(fd, bytes); } finally { os.close(fd); }
  sys.chmod(path, mode);
}

export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += Math.max(0, sys.write(fd, bytes.buffer as ArrayBuffer, bytes.byteOffset + at, bytes.length - at));
}

export function writeText(path: string, text: string, mode = 0o644): void {
  writeBytes(path, new Uint8Array(sys.encode(text)), mode);
}

/** Over what a file has, which is as long: a guest that is cloned spends a sixth of the time that making it anew takes. */
export function overwriteText(path: string, text: string): void {
  const fd = openFile(path, os.O_WRONLY | os.O_CREAT, 0o644);
  try { writeAll(fd, new Uint8Array(sys.encode(text))); } finally { os.close(fd); }
}

/** Writes to a file of the kernel's: no creation, no mode. */
export function setKernelValue(path: string, value: string): void {
  const fd = openFile(path, os.O_WRONLY);
  try { writeAll(fd, new Uint8Array(sys.encode(value))); } finally { os.close(fd); }
}

/** Up to `length` bytes from `offset`. */
export function readBytes(path: string, offset: number, length: number): Uint8Array {
  const fd = openFile(path, os.O_RDONLY);
  try { return readFrom(fd, offset, length); } finally { os.close(fd); }
}

export function readFrom(fd: number, offset: number, length: number): Uint8Array {
  if (offset > 0) os.seek(fd, offset, std.SEEK_SET);
  const bytes = new Uint8Array(length);
  const piece = new ArrayBuffer(Math.min(65_536, length));
  let got = 0;
  while (got < length) {
    const count = sys.read(fd, piece);
    if (count <= 0) break;
    const fits = Math.min(count, length - got);
    bytes.set(new Uint8Array(piece, 0, fits), got);
    got += fits;
  }
  return bytes.slice(0, got);
}

/** Part of a regular file as seen from a root; `eof` where nothing follows. */
export function readPart(root: string, path: string, offset: number, length: number): { readonly bytes: Uint8Array; readonly eof: boolean } {
  const fd = opened(sys.openIn(root, path, 0, 0), path);
  try {
    demandFile(fd, path);
    const bytes = readFrom(fd, offset, length + 1); // one more tells whether it goes on
    return { bytes: bytes.slice(0, length), eof: bytes.length <= length };
  } finally {
    os.close(fd);
  }
}

export function writePart(root: string, path: string, bytes: Uint8Array, mode: number, append: boolean): void {
  const fd = opened(sys.openIn(root, path, append ? 2 : 1, mode & 0o7777), path);
  try {
    demandFile(fd, path);
    writeAll(fd, bytes);
    if (!append) sys.chmod(`/proc/self/fd/${fd}`, mode & 0o7777);
  } finally {
    os.close(fd);
  }
}

/** A pipe or a device could keep the agent waiting. */
function demandFile(fd: number, path: string): void {
  if ((sys.fstat(fd)[0] & kinds.mask) !== kinds.file) throw new FileError('notAFile', `${path} is not a regular file`);
}

export function exists(path: string): boolean {
  return sys.lstat(path) !== null;
}

/** mkdir -p. */
export function makeFolder(path: string, mode = 0o755): void {
  if (os.mkdir(path, mode) >= 0) return;
  let at = '';
  for (const part of path.split('/').filter((one) => one !== '')) {
    at += `/${part}`;
    const result = os.mkdir(at, mode);
    if (result < 0 && result !== EEXIST) throw new FileError('cannotMake', `cannot make folder ${at} (error ${-result})`);
  }
}

export function listFolder(path: string): string[] {
  const [names, error] = os.readdir(path);
  return error === 0 ? names.filter((name) => name !== '.' && name !== '..') : [];
}

/** rm -rf; follows no links. */
export function removeTree(path: string): void {
  const stat = sys.lstat(path);
  if (stat === null) return;
  if ((stat[0] & kinds.mask) === kinds.folder) for (const name of listFolder(path)) removeTree(`${path}/${name}`);
  os.remove(path);
}

/** Copies what lies in a folder, with owners and modes; follows no links; other kinds of files are left out. */
export function copyContents(from: string, to: string): void {
  for (const name of listFolder(from)) {
    const source = `${from}/${name}`;
    const target = `${to}/${name}`;
    const stat = sys.lstat(source);
    if (stat === null) continue;
    const [mode, uid, gid, size] = stat;
    const kind = mode & kinds.mask;
    if (kind === kinds.link) os.symlink(os.readlink(source)[0], target);
    else if (kind === kinds.folder) {
      makeFolder(target);
      copyContents(source, target);
    } else if (kind === kinds.file) copyFile(source, target, size);
    else continue;
    sys.chown(target, uid, gid);
    if (kind !== kinds.link) sys.chmod(target, mode & 0o7777);
  }
}

const copyPiece = 1024 * 1024;

function copyFile(from: string, to: string, size: number): void {
  const source = openFile(from, os.O_RDONLY);
  try {
    const target = openFile(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC);
    try {
      for (let at = 0; at < size;) {
        const bytes = readFrom(source, 0, Math.min(copyPiece, size - at));
        if (bytes.length === 0) break;
        writeAll(target, bytes);
        at += bytes.length;
      }
    } finally {
      os.close(target);
    }
  } finally {
    os.close(source);
  }
}

/** Whether something is mounted exactly there. */
export function isMounted(target: string): boolean {
  return (readText('/proc/self/mounts') ?? '').includes(` ${target} `);
}

const MNT_DETACH = 2;

/** Unmounts at once or as soon as nobody uses it; fine where nothing is mounted. */
export function unmount(target: string): void {
  try { sys.umount(target, MNT_DETACH); } catch { /* nothing is mounted there */ }
}
