/** Removes the traces of a machine. Each step is fine where there is nothing to remove. */
import { rm } from 'node:fs/promises';
import { isAlive } from '#base';
import { readKeeperRecord } from '../launcher/index.ts';
import { freeUid } from './allocate-uid.ts';
import { removeCgroups } from './cgroups.ts';
import { awaitExit, endVmm } from './end-vmm.ts';
import type { VmmContext } from './vmm-context.ts';
import type { VmmPlaces } from './vmm-places.ts';

export async function eraseVmm(context: VmmContext, places: VmmPlaces, id: string): Promise<void> {
  await endKnownVmm(context, places);
  await removeRunTraces(context, places, id);
  await rm(places.stateFolder, { recursive: true, force: true });
  await freeUid(context.instance, id);
}

/** A VMM that hangs is ended here: nobody may use its disks or its uid while it lives. Fine where none does. */
export async function endKnownVmm(context: VmmContext, places: VmmPlaces): Promise<void> {
  const record = await readKeeperRecord(places.runFolder).catch(() => undefined); // damaged: then nothing can be proved of it
  if (record !== undefined && (await isAlive(record.vmm) || await isAlive(record.keeper))) {
    await endVmm(record);
    await awaitExit(context, places, record);
  }
}

/** What a start makes and a stop need not keep. */
export async function removeRunTraces(context: VmmContext, places: VmmPlaces, id: string): Promise<void> {
  await context.network?.removeTap(id);
  await removeCgroups(context.instance, id);
  await rm(places.runFolder, { recursive: true, force: true });
}
