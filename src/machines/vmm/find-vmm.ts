/** Finds a machine's VMM by identity (boot id, pid, start time, as its keeper wrote them), never by name. */
import { hostBootId, isAlive } from '#base';
import type { VmmExit } from '../engine.ts';
import { isHeld, readExitRecord, readKeeperRecord, type KeeperRecord } from '../launcher/index.ts';
import { awaitExit, endVmm } from './end-vmm.ts';
import type { VmmContext } from './vmm-context.ts';
import type { VmmPlaces } from './vmm-places.ts';

export type FoundVmm =
  | { readonly found: 'alive'; readonly record: KeeperRecord }
  | { readonly found: 'gone'; readonly exit: VmmExit | null }
  | { readonly found: 'unknown'; readonly why: string };

export async function findVmm(context: VmmContext, places: VmmPlaces): Promise<FoundVmm> {
  const record = await readKeeperRecord(places.runFolder);
  if (record === undefined) {
    if (await isHeld(await context.launcher(), places.runFolder)) return { found: 'unknown', why: 'an earlier daemon\'s start of it is still under way' };
    return { found: 'gone', exit: (await readExitRecord(places.runFolder)) ?? null };
  }
  // Nothing outlives a boot of the host.
  if (record.vmm.bootId !== hostBootId()) return { found: 'gone', exit: (await readExitRecord(places.runFolder)) ?? null };
  if (!(await isAlive(record.vmm))) return { found: 'gone', exit: await awaitExit(context, places, record) };
  if (!(await isAlive(record.keeper))) {
    await endVmm(record); // the kernel does it already; a VMM without a keeper must not go on
    return { found: 'gone', exit: await awaitExit(context, places, record) };
  }
  return { found: 'alive', record };
}
