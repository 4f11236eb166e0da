/**
 * What a machine that came from the pool holds under the id it had there: its control groups and its claim of a uid. Given
 * back when its VMM has ended, before its record, which alone knows of them, is removed or written anew. Idempotent.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asStrataError, type Instance } from '#base';
import { freeUid, uidOwners } from '../../vmm/allocate-uid.ts';
import { removeCgroups } from '../../vmm/cgroups.ts';
import { machinePlaces, type MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../open-qemu-engine.ts';
import { readStartRecord } from '../start-record.ts';
import { isPooledId } from './pooled-id.ts';

export async function releaseReserve(instance: Instance, places: MachinePlaces): Promise<void> {
  const pooled = await pooledIn(places);
  if (pooled !== undefined) await release(instance, pooled);
}

/** Claims that outlived their records, as where the host lost its power. Before anything is started. */
export async function releaseForgotten({ instance, log }: Pick<QemuContext, 'instance' | 'log'>): Promise<void> {
  const folders = await readdir(join(instance.runDir, 'q')).catch(() => []);
  const known = new Set(await Promise.all(folders.map((id) => pooledIn(machinePlaces(instance, id)))));
  for (const owner of await uidOwners(instance)) {
    if (!isPooledId(owner) || known.has(owner)) continue;
    // Where a VMM still lives in its group the claim stays, whatever became of the record.
    await release(instance, owner).catch((thrown: unknown) => log.warn({ pooled: owner, error: asStrataError(thrown, 'pool').message }, 'what a pooled machine held could not be given back'));
  }
}

const pooledIn = (places: MachinePlaces): Promise<string | undefined> => readStartRecord(places).then(({ pooled }) => pooled, () => undefined);

async function release(instance: Instance, pooled: string): Promise<void> {
  if (!isPooledId(pooled)) return;
  await removeCgroups(instance, pooled);
  await freeUid(instance, pooled);
}
