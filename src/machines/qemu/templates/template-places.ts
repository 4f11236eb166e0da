/** Where a template lies while it is kept, and the id of the machine it is frozen from. */
import { join } from 'node:path';
import type { Instance } from '#base';

export interface TemplatePlaces {
  /** 0700, in the run folder: a template lives as long as the host's boot, at most. */
  readonly folder: string;
  readonly recordFile: string;
  /** What the console printed until it was frozen; clones begin with it. */
  readonly console: string;
  /** Its scratch disk as it was when it was frozen; each clone begins with a copy. */
  readonly scratch: string;
}

export const templatesFolder = (instance: Instance): string => join(instance.runDir, 't');

export function templatePlaces(instance: Instance, key: string): TemplatePlaces {
  const folder = join(templatesFolder(instance), key);
  return { folder, recordFile: join(folder, 'template.json'), console: join(folder, 'console'), scratch: join(folder, 'scratch.raw') };
}

/** The machine that becomes the template has no record; its id tells what it is when a daemon died. */
export const templateMachineId = (key: string): string => `mt${key}`;
export const isTemplateMachineId = (id: string): boolean => /^mt[0-9a-f]{12}$/.test(id);
