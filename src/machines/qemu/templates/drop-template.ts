/** Ends a template's holder and removes its folder. Machines that were cloned from it go on: their memory stays theirs. Idempotent. */
import { rm } from 'node:fs/promises';
import { isAlive, signalProcess, waitUntil, type Instance } from '#base';
import { readHolder } from '../../launcher/index.ts';
import { templateKeys } from './find-template.ts';
import { templatePlaces, templatesFolder, type TemplatePlaces } from './template-places.ts';

export async function dropTemplate(places: TemplatePlaces): Promise<void> {
  const holder = await readHolder(places.folder);
  if (holder !== undefined && await signalProcess(holder, 'SIGKILL')) {
    await waitUntil(async () => !(await isAlive(holder)), { what: `the holder of ${places.folder} is gone`, limitMs: 10_000, everyMs: 5 });
  }
  await rm(places.folder, { recursive: true, force: true });
}

export async function dropTemplates(instance: Instance): Promise<void> {
  for (const key of await templateKeys(instance)) await dropTemplate(templatePlaces(instance, key));
  await rm(templatesFolder(instance), { recursive: true, force: true });
}
