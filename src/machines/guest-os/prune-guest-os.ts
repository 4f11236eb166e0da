/**
 * Takes builds of the guest OS out of the cache that nobody uses any more. A running machine needs none: its kernel is
 * in its jail. Kept are the build of this program, the one used last before it (to go back to), and what was used
 * lately, by whichever instance: the cache is shared, and a start may be under way.
 */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Instance } from '#base';
import { buildMark, guestOsFolder, sourceKey, unfinishedPrefix } from './ensure-guest-os.ts';

const dayMs = 24 * 3600_000;
/** No build takes that long: what is older was cut off. */
const buildLimitMs = 3600_000;
const goingPrefix = '.gone-';

interface Build { readonly name: string; readonly usedAt: number }

/** Names of the builds that may go. Pure. */
export function prunable(builds: readonly Build[], current: string, now: number): readonly string[] {
  const [, ...older] = builds.filter((one) => one.name !== current).toSorted((one, other) => other.usedAt - one.usedAt);
  return older.filter((one) => now - one.usedAt > dayMs).map((one) => one.name);
}

/** @returns folders that were removed */
export async function pruneGuestOs(instance: Instance, now: number): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const placeName of await namesIn(guestOsFolder(instance))) {
    const home = join(guestOsFolder(instance), placeName);
    const names = await namesIn(home);
    const builds = (await Promise.all(names.map(async (name) => ({ name, usedAt: await timeOf(join(home, name, buildMark)) })))).filter((one): one is Build => one.usedAt !== undefined && !one.name.startsWith('.'));
    for (const name of prunable(builds, await sourceKey(placeName), now)) if (await removeBuild(home, name, now)) removed.push(join(placeName, name));
    for (const name of names.filter((one) => one.startsWith(unfinishedPrefix) || one.startsWith(goingPrefix))) {
      if (now - (await timeOf(join(home, name)) ?? now) < buildLimitMs) continue;
      await rm(join(home, name), { recursive: true, force: true });
      removed.push(join(placeName, name));
    }
  }
  return removed;
}

/** Taken away in one step and looked at once more: who marked it in between gets it back. */
async function removeBuild(home: string, name: string, now: number): Promise<boolean> {
  const going = join(home, `${goingPrefix}${name}`);
  await rm(going, { recursive: true, force: true });
  await rename(join(home, name), going);
  if (now - (await timeOf(join(going, buildMark)) ?? 0) <= dayMs) {
    await rename(going, join(home, name));
    return false;
  }
  await rm(going, { recursive: true, force: true });
  return true;
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => { if (['ENOENT', 'ENOTDIR'].includes(error.code ?? '')) return []; throw error; });
}

async function timeOf(path: string): Promise<number | undefined> {
  return stat(path).then((found) => found.mtimeMs, (error: NodeJS.ErrnoException) => { if (['ENOENT', 'ENOTDIR'].includes(error.code ?? '')) return undefined; throw error; });
}
