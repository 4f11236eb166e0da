/** The delay loop's speed, which the kernel would measure at every start: kept for one boot of the host. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { atomicWrite, hostBootId, type Instance } from '#base';

const recordSchema = z.strictObject({ bootId: z.string(), loopsPerJiffy: z.int().min(1) });
const recordPath = (instance: Instance): string => join(instance.stateDir, 'uml-delay.json');

/** Null where nobody has measured since the host's boot. */
export async function knownLoopsPerJiffy(instance: Instance): Promise<number | null> {
  try {
    const record = recordSchema.parse(JSON.parse(await readFile(recordPath(instance), 'utf8')));
    return record.bootId === hostBootId() ? record.loopsPerJiffy : null;
  } catch {
    return null; // none yet, or damaged: measured again
  }
}

export async function keepLoopsPerJiffy(instance: Instance, loopsPerJiffy: number): Promise<void> {
  await atomicWrite(recordPath(instance), JSON.stringify({ bootId: hostBootId(), loopsPerJiffy }));
}

/** What a kernel printed of it on its console; undefined where it did not. Pure. */
export function findLoopsPerJiffy(consoleText: string): number | undefined {
  const found = /Calibrating delay loop.*\(lpj=(\d{1,12})\)/.exec(consoleText)?.[1];
  return found === undefined || Number(found) < 1 ? undefined : Number(found);
}
