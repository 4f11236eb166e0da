/** What the driver must know of a running machine beyond the keeper's record; written before UML starts. */
import { renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { VmmPlaces } from '../vmm/vmm-places.ts';

const startRecordSchema = z.strictObject({
  startedBy: z.strictObject({ way: z.enum(['pool', 'cold']), why: z.string() }),
  pooled: z.string().optional().describe('the pooled machine it was before; its control group and its claim of a uid bear that id'),
  ready: z.boolean().describe('false while one from the pool lacks its identity or its disks: then nobody may use it'),
});
export type StartRecord = z.infer<typeof startRecordSchema>;

/** Whole or not at all; what it is about does not outlive the host's boot, so nothing waits for a disk. In a folder in memory two calls take less than to hand them to a thread. */
export function writeStartRecord({ runFolder }: Pick<VmmPlaces, 'runFolder'>, record: StartRecord): void {
  const path = join(runFolder, 'start.json');
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Where there is none an earlier version started it, by a boot. @throws where it is damaged */
export async function readStartRecord({ runFolder }: Pick<VmmPlaces, 'runFolder'>): Promise<StartRecord> {
  const text = await readFile(join(runFolder, 'start.json'), 'utf8').catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return undefined; throw error; });
  return text === undefined ? { startedBy: { way: 'cold', why: '' }, ready: true } : startRecordSchema.parse(JSON.parse(text));
}
