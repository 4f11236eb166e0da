/** What a daemon that was killed left of its pool. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { eraseMachine } from '../erase-machine.ts';
import type { QemuContext } from '../qemu-context.ts';
import { isPooledId } from '../../pooled/pooled-id.ts';
import { releaseForgotten } from '../../pooled/release-reserve.ts';

/** Ends what an earlier daemon left, also where this one keeps none. Before anything is started. */
export async function sweepPool(context: QemuContext): Promise<void> {
  const folders = [join(context.instance.runDir, 'q'), join(context.instance.stateDir, 'qemu')];
  const ids = (await Promise.all(folders.map((folder) => readdir(folder).catch(() => [])))).flat();
  for (const id of new Set(ids.filter(isPooledId))) await eraseMachine(context, id);
  await releaseForgotten(context);
}
