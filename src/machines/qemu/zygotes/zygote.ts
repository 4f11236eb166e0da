/**
 * A zygote of a template: a VMM that has taken the template's state, whose guest has done once what a start will ask of it,
 * and that stands still. Each machine that starts is a copy of its process, with all the guest code it has translated.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { atomicWrite, isAlive, type ProcessIdentity } from '#base';
import { readKeeperRecord } from '../../launcher/index.ts';
import { machinePlaces, type MachinePlaces } from '../machine-places.ts';
import type { TemplatePlaces } from '../templates/template-places.ts';
import type { VmmContext } from '../../vmm/vmm-context.ts';

/** Its machine has no record; its id tells what it is when a daemon died. @param key the template's */
export const zygoteMachineId = (key: string): string => `mz${key}`;
export const isZygoteMachineId = (id: string): boolean => /^mz[0-9a-f]{12}$/.test(id);

export const zygoteSocketName = 'z';

/** Written when it can be copied; `heldBytes` of the host's memory are its own, beside the template's, `launcher` is what it was made by, and understands. */
const recordSchema = z.strictObject({ heldBytes: z.int(), madeMs: z.int(), launcher: z.string() });
export type ZygoteRecord = z.infer<typeof recordSchema>;

export interface Zygote { readonly places: MachinePlaces; readonly vmm: ProcessIdentity; readonly socket: string; readonly record: ZygoteRecord }

const recordFile = (template: TemplatePlaces): string => join(template.folder, 'zygote.json');
export const socketOf = (places: MachinePlaces): string => join(places.runFolder, zygoteSocketName);

export async function writeZygoteRecord(template: TemplatePlaces, record: ZygoteRecord): Promise<void> {
  await atomicWrite(recordFile(template), JSON.stringify(record));
}

export const removeZygoteRecord = (template: TemplatePlaces): Promise<void> => rm(recordFile(template), { force: true });

/** Undefined where there is none, it was never whole, its VMM has ended, or another version of the program made it. */
export async function findZygote({ instance, launcher }: Pick<VmmContext, 'instance' | 'launcher'>, template: TemplatePlaces & { readonly key: string }): Promise<Zygote | undefined> {
  const text = await readFile(recordFile(template), 'utf8').catch(() => undefined);
  const record = text === undefined ? undefined : parse(text);
  if (record === undefined || record.launcher !== await launcher()) return undefined;
  const places = machinePlaces(instance, zygoteMachineId(template.key));
  const runs = await readKeeperRecord(places.runFolder).catch(() => undefined);
  if (runs === undefined || !(await isAlive(runs.vmm))) return undefined;
  return { places, vmm: runs.vmm, socket: socketOf(places), record };
}

function parse(text: string): ZygoteRecord | undefined {
  try { return recordSchema.parse(JSON.parse(text)); } catch { return undefined; }
}
