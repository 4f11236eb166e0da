/** The holder of a template's memory and state (hold.c): made, found again, filled, sealed. It ends by a signal. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { runProcess, StrataError, type ProcessIdentity } from '#base';
import { wordsOf } from './run-launcher.ts';

const identitySchema = z.strictObject({ bootId: z.string(), pid: z.int().min(2), startTicks: z.int() });
const sizesSchema = z.strictObject({ memoryBytes: z.int(), usedBytes: z.int(), stateBytes: z.int() });
/** `usedBytes` of memory are in use on the host; the rest of it was never touched. */
export type TemplateSizes = z.infer<typeof sizesSchema>;

/** Socket of the folder's holder. */
export const holderOf = (folder: string): string => join(folder, 'h');

/** Leaves a holder of so much memory behind. @param folder the template's, 0700 @throws StrataError `machine.templateFailed` */
export async function holdTemplate(launcher: string, folder: string, memoryBytes: number): Promise<ProcessIdentity> {
  const { stdout } = await attempt([launcher, 'hold', folder, String(memoryBytes)]);
  return identitySchema.parse(JSON.parse(stdout));
}

/** Who holds what the folder's template is made of; undefined where nobody ever did, or what it says is damaged. */
export async function readHolder(folder: string): Promise<ProcessIdentity | undefined> {
  const text = await readFile(join(folder, 'holder.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try { return identitySchema.parse(JSON.parse(text)); } catch { return undefined; }
}

/** Has a stopped QEMU begin to write memory and devices into a file that is not there yet. @param monitor a free one of its monitors @throws StrataError `machine.suspendFailed` */
export async function saveStateToFile(launcher: string, monitor: string, path: string): Promise<void> {
  await attempt([launcher, 'save-file', monitor, path], 'machine.suspendFailed');
}

/** After this nobody can change memory and state, whatever rights it has. The VMM that wrote them must have ended. */
export async function sealTemplate(launcher: string, folder: string): Promise<TemplateSizes> {
  const { stdout } = await attempt([launcher, 'seal', holderOf(folder)]);
  return sizesSchema.parse(JSON.parse(stdout));
}

async function attempt(argv: readonly [string, ...string[]], code = 'machine.templateFailed'): ReturnType<typeof runProcess> {
  try {
    return await runProcess(argv, { timeoutMs: 30_000 });
  } catch (cause) {
    throw new StrataError(`the launcher could not do '${argv[1]}': ${wordsOf(cause)}`, { code, kind: 'unavailable', cause });
  }
}
