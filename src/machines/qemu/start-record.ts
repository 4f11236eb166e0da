/** What the driver must know of a running machine beyond the keeper's record; written before the VMM starts. */
import { renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { MachinePlaces } from './machine-places.ts';

const startRecordSchema = z.strictObject({
  accelerator: z.enum(['kvm', 'tcg']), uid: z.int(),
  startedBy: z.strictObject({ way: z.enum(['pool', 'template', 'cold', 'suspended', 'snapshot']), why: z.string() }).default({ way: 'cold', why: '' }).describe('default: started by an earlier version'),
  layout: z.enum(['cold', 'template', 'cold-copy', 'template-copy']).optional().describe('how its devices lie, where the way it was started does not say it'),
  pooled: z.string().optional().describe('the pooled machine it was before; its control group and its claim of a uid bear that id'),
  ready: z.boolean().default(true).describe('false while a clone lacks its identity, its card or its disks: then nobody may use it'),
});
export type StartRecord = z.infer<typeof startRecordSchema>;

/** Whole or not at all; what it is about does not outlive the host's boot, so nothing waits for a disk. In a folder in memory two calls take less than to hand them to a thread. */
export function writeStartRecord(places: MachinePlaces, record: StartRecord): void {
  const path = join(places.runFolder, 'start.json');
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export async function readStartRecord(places: MachinePlaces): Promise<StartRecord> {
  return startRecordSchema.parse(JSON.parse(await readFile(join(places.runFolder, 'start.json'), 'utf8')));
}
