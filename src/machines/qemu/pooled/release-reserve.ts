/**
 * What a machine that came from the pool holds under the id it had there: its control groups, its claim of a uid, and its
 * tap where a daemon ended before that had the machine's name. Given back when its VMM has ended, before its record, which alone knows of them, is removed or written anew. Idempotent.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asStrataError } from '#base';
import { freeUid, uidOwners } from '../../vmm/allocate-uid.ts';
import { removeCgroups } from '../../vmm/cgroups.ts';
import { machinePlaces, type MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../open-qemu-engine.ts';
import { readStartRecord } from '../start-record.ts';
import { isPooledId } from './pooled-id.ts';

type Holding = Pick<QemuContext, 'instance' | 'network'>;

export async function releaseReserve(context: Holding, places: MachinePlaces): Promise<void> {
  const pooled = await pooledIn(places);
  if (pooled !== undefined) await release(context, pooled);
}

/** Claims that outlived their records, as where the host lost its power. Before anything is started. */
export async function releaseForgotten(context: Holding & Pick<QemuContext, 'log'>): Promise<void> {
  const { instance, log } = context;
  const folders = await readdir(join(instance.runDir, 'q')).catch(() => []);
  const known = new Set(await Promise.all(folders.map((id) => pooledIn(machinePlaces(instance, id)))));
  for (const owner of await uidOwners(instance)) {
    if (!isPooledId(owner) || known.has(owner)) continue;
    // Where a VMM still lives in its group the claim stays, whatever became of the record.
    await release(context, owner).catch((thrown: unknown) => log.warn({ pooled: owner, error: asStrataError(thrown, 'pool').message }, 'what a pooled machine held could not be given back'));
  }
}

const pooledIn = (places: MachinePlaces): Promise<string | undefined> => readStartRecord(places).then(({ pooled }) => pooled, () => undefined);

async function release({ instance, network }: Holding, pooled: string): Promise<void> {
  if (!isPooledId(pooled)) return;
  await removeCgroups(instance, pooled);
  await network?.removeTap(pooled);
  await freeUid(instance, pooled);
}
