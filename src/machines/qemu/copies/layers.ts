/**
 * Layers of disks: files that nobody writes any more, shared by machines and snapshots. Each user has a name of its own for
 * the same file (a hard link), so that the file lives as long as its last user and nobody has to count them.
 */
import { link, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StrataError } from '#base';
import type { MachineDisk } from '../../machine.ts';

/** The folder where the layers and snapshots of disks lie: of a machine, or of one disk that a back end serves. */
export interface LayerPlaces { readonly stateFolder: string }
export interface Layer { readonly path: string; readonly format: MachineDisk['format'] }

/** Longer chains make every read slower; a full clone starts anew. */
export const mostLayers = 48;

/** The disk's files, the uppermost first. */
export const chainOfDisk = (disk: MachineDisk): readonly Layer[] => [{ path: disk.path, format: disk.format }, ...(disk.backing ?? [])];

/** Names the file in `folder` too, by its number in the file system; twice is as once. Its name there. @throws StrataError `machine.diskElsewhere` */
export async function linkLayer(path: string, folder: string): Promise<string> {
  const { ino } = await stat(path);
  const name = `layer-${ino}`;
  try {
    await link(path, join(folder, name));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EXDEV') throw new StrataError(`the disk ${path} lies on another file system than ${folder}, and cannot be shared`, { code: 'machine.diskElsewhere', kind: 'refused', cause, advice: 'move it to the file system of Strata\'s state' });
    if (code !== 'EEXIST') throw cause;
  }
  return name;
}

export async function linkChain(chain: readonly Layer[], folder: string): Promise<readonly Layer[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const linked: Layer[] = [];
  for (const { path, format } of chain) linked.push({ path: join(folder, await linkLayer(path, folder)), format });
  return linked;
}

/** Removes files of the folder that are not among these. */
export async function keepOnly(folder: string, paths: readonly string[]): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (!paths.includes(join(folder, name))) await rm(join(folder, name), { recursive: true, force: true });
}
