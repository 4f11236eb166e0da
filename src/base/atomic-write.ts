/** Durable replacement of a small file: temporary file in the same folder, fsync, rename, fsync of the folder. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Two writers of one file at once must not share a temporary one. */
let made = 0;

/** Replaces `path` with `content`; a reader sees the old or the new text, also after a power loss. */
export async function atomicWrite(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = `${path}.${process.pid}.${made += 1}.new`;
  try {
    await writeDurably(temporary, content, mode);
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
  const folder = await open(dirname(path), 'r');
  try { await folder.sync(); } finally { await folder.close(); }
}

async function writeDurably(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'w', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}
