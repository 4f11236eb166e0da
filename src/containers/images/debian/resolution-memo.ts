/** Remembers what a list of packages came to, as long as the package lists are the same: apt takes 0.2 s to say it again. */
import { mkdir, readFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { atomicWrite } from '#base';
import { canonicalJson } from '../../build-guest-spec.ts';
import type { AptFolder } from './apt-folder.ts';
import { resolvePackages, type InstallStep } from './resolve-packages.ts';

const packageSchema = z.strictObject({ name: z.string(), version: z.string(), file: z.string() });
const memoSchema = z.strictObject({ listsAt: z.number(), steps: z.array(z.union([z.strictObject({ unpack: packageSchema }), z.strictObject({ configure: z.string() })])) });

export async function resolveOnce(apt: AptFolder, names: readonly string[], root: string, signal?: AbortSignal): Promise<readonly InstallStep[]> {
  const folder = join(root, 'resolutions');
  const wish = canonicalJson({ suite: apt.suite, architecture: apt.architecture, names: [...names].sort() });
  const path = join(folder, `${createHash('sha256').update(wish).digest('hex')}.json`);
  const memo = await readMemo(path);
  if (memo !== undefined && memo.listsAt === apt.listsAt) return memo.steps;
  const steps = await resolvePackages(apt, names, signal);
  await mkdir(folder, { recursive: true });
  await atomicWrite(path, JSON.stringify({ listsAt: apt.listsAt, steps }));
  return steps;
}

async function readMemo(path: string): Promise<z.infer<typeof memoSchema> | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  try {
    return memoSchema.parse(JSON.parse(text));
  } catch { return undefined; }
}
