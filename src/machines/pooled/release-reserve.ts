/**
 * What a machine that came from the pool holds under the id it had there: its control groups, its claim of a uid, and its
 * tap where a daemon ended before that had the machine's name. Given back when its VMM has ended, before its record, which alone knows of them, is removed or written anew. Idempotent.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { asStrataError, type Log } from '#base';
import { freeUid, uidOwners } from '../vmm/allocate-uid.ts';
import { removeCgroups } from '../vmm/cgroups.ts';
import type { VmmContext } from '../vmm/vmm-context.ts';
import { isPooledId } from './pooled-id.ts';

type Holding = Pick<VmmContext, 'instance' | 'network'>;

/** What the start records of all engines have alike: `start.json` in the run folder. */
const recordSchema = z.object({ pooled: z.string().optional() });

export async function releaseReserve(context: Holding, { runFolder }: { readonly runFolder: string }): Promise<void> {
  const pooled = await pooledIn(runFolder);
  if (pooled !== undefined) await release(context, pooled);
}

/** Claims that outlived their records, as where the host lost its power. Before anything is started. */
export async function releaseForgotten(context: Holding & { readonly log: Log }): Promise<void> {
  const { instance, log } = context;
  const folders = await foldersIn(instance.runDir); // of engines
  const runFolders = (await Promise.all(folders.map(foldersIn))).flat();
  const known = new Set(await Promise.all(runFolders.map(pooledIn)));
  for (const owner of await uidOwners(instance)) {
    if (!isPooledId(owner) || known.has(owner)) continue;
    // Where a VMM still lives in its group the claim stays, whatever became of the record.
    await release(context, owner).catch((thrown: unknown) => log.warn({ pooled: owner, error: asStrataError(thrown, 'pool').message }, 'what a pooled machine held could not be given back'));
  }
}

const foldersIn = (folder: string): Promise<readonly string[]> => readdir(folder, { withFileTypes: true }).then((entries) => entries.filter((one) => one.isDirectory()).map(({ name }) => join(folder, name)), () => []);

const pooledIn = (runFolder: string): Promise<string | undefined> => readFile(join(runFolder, 'start.json'), 'utf8').then((text) => recordSchema.parse(JSON.parse(text)).pooled, () => undefined).catch(() => undefined);

async function release({ instance, network }: Holding, pooled: string): Promise<void> {
  if (!isPooledId(pooled)) return;
  await removeCgroups(instance, pooled);
  await network?.removeTap(pooled);
  await freeUid(instance, pooled);
}
