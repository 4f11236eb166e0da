/** What a daemon that was killed left of its pool. */
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isPooledId } from '../../pooled/pooled-id.ts';
import { releaseForgotten } from '../../pooled/release-reserve.ts';
import { eraseMachine } from '../erase-machine.ts';
import type { UmlContext } from '../uml-context.ts';
import { umlPlaces } from '../uml-places.ts';

/** Ends what an earlier daemon left, also where this one keeps none. Before anything is started. */
export async function sweepPool(context: UmlContext): Promise<void> {
  const { runFolder, stateFolder } = umlPlaces(context.instance, 'any');
  const ids = (await Promise.all([runFolder, stateFolder].map((folder) => readdir(dirname(folder)).catch(() => [])))).flat();
  for (const id of new Set(ids.filter(isPooledId))) await eraseMachine(context, id);
  await releaseForgotten(context);
}
