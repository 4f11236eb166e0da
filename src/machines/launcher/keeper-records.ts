/** What a keeper leaves in its machine's folder: who runs, how it ended, and the console's last bytes. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const identitySchema = z.strictObject({ bootId: z.string(), pid: z.int().min(2), startTicks: z.int() });
const keeperRecordSchema = z.strictObject({ keeper: identitySchema, vmm: identitySchema, uid: z.int(), at: z.int() });
export type KeeperRecord = z.infer<typeof keeperRecordSchema>;

const exitRecordSchema = z.strictObject({ code: z.int().nullable(), signal: z.string().nullable(), at: z.int(), stderr: z.string().max(16_384) });
export type ExitRecord = z.infer<typeof exitRecordSchema>;

export const parseKeeperRecord = (text: string): KeeperRecord => keeperRecordSchema.parse(JSON.parse(text));

/** Undefined where none was written (or the host lost it). */
export async function readKeeperRecord(folder: string): Promise<KeeperRecord | undefined> {
  return readRecord(join(folder, 'keeper.json'), keeperRecordSchema);
}

export async function readExitRecord(folder: string): Promise<ExitRecord | undefined> {
  return readRecord(join(folder, 'exit.json'), exitRecordSchema);
}

async function readRecord<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const headBytes = 16;

/** The last bytes the console printed, oldest first. Empty where there was no machine yet. */
export async function readConsoleRing(folder: string): Promise<Buffer> {
  let file;
  try {
    file = await open(join(folder, 'console'), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
  try {
    return straighten(await file.readFile());
  } finally {
    await file.close();
  }
}

/** Layout in console.c: magic, count of all bytes ever printed, then a circle of 1 MiB − 16 bytes. */
export function straighten(ring: Buffer): Buffer {
  if (ring.length < headBytes || ring.toString('latin1', 0, 8) !== 'STRATARG') return Buffer.alloc(0);
  const size = 1024 * 1024 - headBytes;
  const total = Number(ring.readBigUInt64LE(8));
  const bytes = ring.subarray(headBytes);
  if (total <= size) return Buffer.from(bytes.subarray(0, total));
  return Buffer.concat([bytes.subarray(total % size), bytes.subarray(0, total % size)]);
}
