/**
 * Keeps the logs of the daemon and the edge from filling the disk. Both write to what they were given when they were started, so
 * nobody else can exchange the file; it is copied and cut instead, which writers that append do not notice. What is written
 * between the two is lost: a line or two, once in a long while.
 */
import { copyFile, open, rename, stat } from 'node:fs/promises';
import type { Log } from '#base';

const logLimitBytes = 16 * 1024 * 1024;
const lookEveryMs = 10 * 60_000;

/** Where the file is larger than the limit, what it has is kept as `<path>.1`, in the place of what was kept before. True where it was cut. */
export async function cutLog(path: string, limitBytes = logLimitBytes): Promise<boolean> {
  const size = await stat(path).then((found) => found.size, () => 0); // no such file: somebody else keeps the log
  if (size <= limitBytes) return false;
  await copyFile(path, `${path}.1.new`);
  await rename(`${path}.1.new`, `${path}.1`);
  const file = await open(path, 'r+');
  try { await file.truncate(0); } finally { await file.close(); }
  return true;
}

/** @returns what ends the watch */
export function limitLogs(paths: readonly string[], log: Log): () => void {
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    try {
      for (const path of paths) if (await cutLog(path)) log.info({ path: `${path}.1` }, 'the log was long and begins anew');
    } catch (thrown) {
      log.warn({ error: (thrown as Error).message }, 'a log is long and could not be cut');
    } finally {
      looking = false;
    }
  };
  const timer = setInterval(() => { void look(); }, lookEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}
