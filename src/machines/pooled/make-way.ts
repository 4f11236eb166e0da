/** Clears the way for a pooled machine's run folder, and gives its scratch disk to the machine it becomes. */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import type { VmmContext } from '../vmm/vmm-context.ts';
import type { VmmPlaces } from '../vmm/vmm-places.ts';
import { releaseReserve } from './release-reserve.ts';

type Context = Pick<VmmContext, 'instance' | 'network'>;

export async function makeWay(context: Context, from: VmmPlaces, to: VmmPlaces, scratch: boolean): Promise<void> {
  await Promise.all([clearRunFolder(context, to), scratch ? moveScratch(from, to) : undefined]);
  await rm(from.stateFolder, { recursive: true, force: true }); // of the pool it has the run folder alone now
}

/** What is left of its last run. */
async function clearRunFolder(context: Context, places: VmmPlaces): Promise<void> {
  if (!existsSync(places.runFolder)) return;
  await releaseReserve(context, places);
  await rm(places.runFolder, { recursive: true, force: true });
}

/** The VMM has it open; it does not see that it has another name. */
async function moveScratch(from: VmmPlaces, to: VmmPlaces): Promise<void> {
  await mkdir(to.stateFolder, { recursive: true, mode: 0o700 });
  await rename(from.scratch, to.scratch);
}
