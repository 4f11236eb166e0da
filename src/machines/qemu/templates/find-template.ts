/** Looks at the templates that lie in the run folder, whole or not. */
import { readdir } from 'node:fs/promises';
import type { Instance } from '#base';
import { templatePlaces, templatesFolder } from './template-places.ts';
import { readTemplate } from './template-record.ts';
import { templateKey } from './template-shape.ts';
import type { Template } from './template.ts';

/** Keys of all that lie here. */
export const templateKeys = (instance: Instance): Promise<readonly string[]> => readdir(templatesFolder(instance)).catch(() => []);

/** One that can be used. One whose record does not fit its key belongs to another version of the program. */
export async function findTemplate(instance: Instance, key: string): Promise<Template | undefined> {
  const places = templatePlaces(instance, key);
  const record = await readTemplate(places);
  return record === undefined || templateKey(record.shape) !== key ? undefined : { key, ...places, record };
}

/** All that can be used. */
export async function listTemplates(instance: Instance): Promise<readonly Template[]> {
  const keys = await templateKeys(instance);
  return (await Promise.all(keys.map((key) => findTemplate(instance, key)))).filter((one) => one !== undefined);
}
