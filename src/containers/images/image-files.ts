/** Where images lie on the host, and what a crash may have left there. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hostBootId, identifyProcess, isAlive, type Architecture, type Instance } from '#base';

export const imagesFolder = (instance: Instance): string => join(instance.stateDir, 'images');
/** Layers and manifests by their digest, shared by images. */
export const blobsFolder = (instance: Instance): string => join(instance.stateDir, 'blobs');
/** Debian packages, base systems and work in progress; shared by instances. */
export const debianFolder = (instance: Instance): string => join(instance.cacheDir, 'images');

/** A digest is checked hexadecimal before it gets here; no other text of a user stands in a path. */
export const squashfsName = (digest: string, architecture: Architecture): string => `${digest.replace('sha256:', '')}-${architecture}.squashfs`;

let counter = 0;

/** A name that says which process writes there, so that another can tell a leftover from work in progress. */
export async function temporaryName(stem: string): Promise<string> {
  const self = await identifyProcess(process.pid);
  counter += 1;
  return `${stem}.${process.pid}-${self?.startTicks ?? 0}-${counter}.new`;
}

/** Removes what processes that are no more have left unfinished. */
export async function removeLeftovers(folder: string): Promise<void> {
  const bootId = hostBootId();
  for (const name of await readdir(folder).catch(() => [])) {
    const owner = /\.(\d+)-(\d+)-\d+\.new$/.exec(name);
    if (owner === null || (await isAlive({ bootId, pid: Number(owner[1]), startTicks: Number(owner[2]) }))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}
