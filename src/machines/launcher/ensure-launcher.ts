/** Compiles the launcher into the cache folder, once for each content of its sources. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asStrataError, hostArchitecture, runProcess, StrataError, type Instance } from '#base';

/** Debian packages the compilation needs. */
export const launcherPackages = ['gcc', 'libc6-dev'] as const;

const sourceFolder = import.meta.dirname;
const flags = ['-std=gnu11', '-O2', '-static', '-Wall', '-Wextra', '-Werror'] as const;

/** Path of the program; the second call takes a millisecond. @throws StrataError `machine.launcherBuild` */
export async function ensureLauncher(instance: Instance): Promise<string> {
  const sources = await readSources();
  const hash = createHash('sha256').update(`${flags.join(' ')} ${hostArchitecture}\n`);
  for (const [name, text] of sources) hash.update(`${name}\0`).update(text).update('\0');
  const home = join(instance.cacheDir, 'launcher');
  const path = join(home, `launcher-${hash.digest('hex').slice(0, 16)}`);
  if (!existsSync(path)) await compile(home, path, sources.map(([name]) => name).filter((name) => name.endsWith('.c')));
  return path;
}

async function readSources(): Promise<readonly (readonly [string, Buffer])[]> {
  const names = (await readdir(sourceFolder)).filter((name) => /\.[ch]$/.test(name)).sort();
  return Promise.all(names.map(async (name) => [name, await readFile(join(sourceFolder, name))] as const));
}

async function compile(home: string, path: string, names: readonly string[]): Promise<void> {
  await mkdir(home, { recursive: true });
  const work = await mkdtemp(join(home, '.build-'));
  const made = join(work, 'launcher');
  try {
    await runProcess(['gcc', ...flags, '-o', made, ...names.map((name) => join(sourceFolder, name))], { timeoutMs: 120_000 });
    await rename(made, path); // whole or not there, whoever compiles at the same time
  } catch (cause) {
    throw new StrataError(`the launcher cannot be compiled: ${asStrataError(cause, 'gcc').message}`, {
      code: 'machine.launcherBuild', kind: 'unavailable', cause, advice: `install ${launcherPackages.join(' and ')}`,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
