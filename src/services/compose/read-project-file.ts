/** Reads a file the project names: a regular one, of limited size, never a device or a pipe that would not end. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

export type ProjectFile = { readonly bytes: Buffer; readonly executable: boolean } | { readonly wrong: 'missing' | 'not a file' | 'too large' | 'not readable'; readonly why: string };

export async function readProjectFile(path: string, mostBytes: number): Promise<ProjectFile> {
  if (path.includes('\0')) return { wrong: 'not readable', why: 'its name holds NUL' };
  let file;
  try {
    // Without O_NONBLOCK, opening a pipe would wait for a writer.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (thrown) {
    const { code = '' } = thrown as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? { wrong: 'missing', why: 'there is no such file' } : { wrong: 'not readable', why: code };
  }
  try {
    const status = await file.stat();
    if (!status.isFile()) return { wrong: 'not a file', why: status.isDirectory() ? 'it is a folder' : 'it is no regular file' };
    if (status.size > mostBytes) return { wrong: 'too large', why: `it is ${status.size} bytes long; at most ${mostBytes} are read` };
    const bytes = Buffer.alloc(status.size);
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return { bytes: bytes.subarray(0, filled), executable: (status.mode & 0o100) !== 0 };
  } finally {
    await file.close();
  }
}
