/** Durable replacement of a small file: temporary file in the same folder, fsync, rename, fsync of the folder. */
import { open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { failpoint } from './failpoint.ts';
import { identifyProcess } from './process-identity.ts';

/** Two writers of one file at once must not share a temporary one. */
let made = 0;

/** Replaces `path` with `content`; a reader sees the old or the new text, also after a power loss. */
export async function atomicWrite(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = `${path}.${process.pid}.${made += 1}.new`;
  try {
    await writeDurably(temporary, content, mode);
    failpoint('base.atomicWrite.beforeRename');
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
  const folder = await open(dirname(path), 'r');
  try { await folder.sync(); } finally { await folder.close(); }
}

const unfinished = /\.(\d+)\.\d+\.new$/;

/** Removes what writers that were killed have left in a folder; one that lives may be about to rename its own. A folder that is not there has none. */
export async function removeUnfinishedWrites(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return []; throw error; });
  for (const name of names) {
    const writer = Number(unfinished.exec(name)?.[1]);
    // Of a writer that had our pid, as long as we have written nothing.
    const isLeft = writer === process.pid ? made === 0 : writer > 0 && await identifyProcess(writer) === undefined;
    if (isLeft) await rm(join(folder, name), { force: true });
  }
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
