/** Ends a template's zygote and its holder and removes its folder. Machines that were cloned from it go on: their memory stays theirs. Idempotent. */
import { rm } from 'node:fs/promises';
import { isAlive, signalProcess, waitUntil } from '#base';
import { readHolder } from '../../launcher/index.ts';
import { templateKeys } from './find-template.ts';
import { templatePlaces, templatesFolder } from './template-places.ts';
import { eraseMachine } from '../erase-machine.ts';
import type { QemuContext } from '../qemu-context.ts';
import { zygoteMachineId } from '../zygotes/zygote.ts';

export async function dropTemplate(context: QemuContext, key: string): Promise<void> {
  const places = templatePlaces(context.instance, key);
  await eraseMachine(context, zygoteMachineId(key));
  const holder = await readHolder(places.folder);
  if (holder !== undefined && await signalProcess(holder, 'SIGKILL')) {
    await waitUntil(async () => !(await isAlive(holder)), { what: `the holder of ${places.folder} is gone`, limitMs: 10_000, everyMs: 5 });
  }
  await rm(places.folder, { recursive: true, force: true });
}

export async function dropTemplates(context: QemuContext): Promise<void> {
  for (const key of await templateKeys(context.instance)) await dropTemplate(context, key);
  await rm(templatesFolder(context.instance), { recursive: true, force: true });
}
