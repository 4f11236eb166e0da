/** What is known of a template that can be used; written last, so that what has no record is not whole. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { architectures, atomicWrite, isAlive } from '#base';
import { readHolder } from '../../launcher/index.ts';
import type { TemplatePlaces } from './template-places.ts';

const shapeSchema = z.strictObject({
  architecture: z.enum(architectures), accelerator: z.enum(['kvm', 'tcg']), processors: z.int(), memoryMiB: z.int(), scratchMiB: z.int(), card: z.boolean(), qemuVersion: z.string(), guestOsVersion: z.string(),
});
const templateRecordSchema = z.strictObject({
  shape: shapeSchema,
  /** Memory of the host it takes, as long as it is kept. */
  usedBytes: z.int(),
  stateBytes: z.int(),
  madeAt: z.int(),
  madeMs: z.int(),
});
export type TemplateRecord = z.infer<typeof templateRecordSchema>;

export async function writeTemplateRecord(places: TemplatePlaces, record: TemplateRecord): Promise<void> {
  await atomicWrite(places.recordFile, JSON.stringify(record));
}

/** Undefined where it was never whole, is damaged, or its holder has ended. */
export async function readTemplate(places: TemplatePlaces): Promise<TemplateRecord | undefined> {
  const text = await readFile(places.recordFile, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const record = parse(text);
  const holder = await readHolder(places.folder);
  return holder !== undefined && await isAlive(holder) ? record : undefined;
}

function parse(text: string): TemplateRecord | undefined {
  try { return templateRecordSchema.parse(JSON.parse(text)); } catch { return undefined; }
}
