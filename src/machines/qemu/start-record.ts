/** What the driver must know of a running machine beyond the keeper's record; written before the VMM starts. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { atomicWrite } from '#base';
import type { MachinePlaces } from './machine-places.ts';

const startRecordSchema = z.strictObject({
  accelerator: z.enum(['kvm', 'tcg']), uid: z.int(),
  startedBy: z.strictObject({ way: z.enum(['template', 'cold', 'suspended']), why: z.string() }).default({ way: 'cold', why: '' }).describe('default: started by an earlier version'),
  layout: z.enum(['cold', 'template']).optional().describe('how its devices lie, where the way it was started does not say it'),
  ready: z.boolean().default(true).describe('false while a clone lacks its identity, its card or its disks: then nobody may use it'),
});
export type StartRecord = z.infer<typeof startRecordSchema>;

export async function writeStartRecord(places: MachinePlaces, record: StartRecord): Promise<void> {
  await atomicWrite(join(places.runFolder, 'start.json'), JSON.stringify(record));
}

export async function readStartRecord(places: MachinePlaces): Promise<StartRecord> {
  return startRecordSchema.parse(JSON.parse(await readFile(join(places.runFolder, 'start.json'), 'utf8')));
}
