/** When the newest of some packages was built: what scripts wrote is dated no later, so that the image is the same tomorrow. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';

/** @param files of packages in the folder; seconds since 1970, 0 for none */
export async function newestPackage(folder: string, files: readonly string[]): Promise<number> {
  return Math.max(0, ...await Promise.all(files.map((file) => packageTime(join(folder, file)))));
}

/** From the first header of the package, which is an ar archive: magic (8 bytes), name (16), time (12). */
async function packageTime(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const { buffer } = await file.read(Buffer.alloc(12), 0, 12, 24);
    const seconds = Number(buffer.toString('latin1').trim());
    return Number.isSafeInteger(seconds) ? seconds : 0;
  } finally { await file.close(); }
}
