/** What a daemon that ended while it made a template left of it. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { uidOwners } from '../../vmm/allocate-uid.ts';
import { eraseMachine } from '../erase-machine.ts';
import type { QemuContext } from '../qemu-context.ts';
import { dropTemplate } from './drop-template.ts';
import { listTemplates, templateKeys } from './find-template.ts';
import { findZygote, isZygoteMachineId, zygoteMachineId } from '../zygotes/zygote.ts';
import { isTemplateMachineId } from './template-places.ts';

/** Ends it, also where this daemon makes none. Templates that are whole stay. Before anything is started. */
export async function sweepTemplates(context: QemuContext): Promise<void> {
  const { instance } = context;
  const folders = [join(instance.runDir, 'q'), join(instance.stateDir, 'qemu')];
  const ids = (await Promise.all(folders.map((folder) => readdir(folder).catch(() => [])))).flat();
  // A uid is the first that its machine takes and the last that it gives back: it may be all there is.
  const left = new Set([...ids, ...await uidOwners(instance)].filter(isTemplateMachineId));
  for (const id of left) await eraseMachine(context, id);
  const templates = await listTemplates(instance);
  const zygotes = new Set((await Promise.all(templates.map(async (one) => (await findZygote(context, one) === undefined ? [] : [zygoteMachineId(one.key)])))).flat());
  for (const id of new Set(ids.filter(isZygoteMachineId))) if (!zygotes.has(id)) await eraseMachine(context, id);
  const whole = new Set(templates.map((one) => one.key));
  for (const key of await templateKeys(instance)) if (!whole.has(key)) await dropTemplate(context, key);
}
