/** Compiles the launcher, and what it loads into VMMs, into the cache folder, once for each content of its sources. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { asStrataError, hostArchitecture, runProcess, StrataError, type Instance } from '#base';

/** Debian packages the compilation needs. */
export const launcherPackages = ['gcc', 'libc6-dev'] as const;

const sourceFolder = import.meta.dirname;
const preloadFolder = join(sourceFolder, 'preload');
const zygoteFolder = join(sourceFolder, 'zygote');
const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'] as const;

/** Of a launcher that is there: what it loads into a VMM whose heap is kept. */
export const heapLibraryOf = (launcher: string): string => `${launcher}-heap.so`;

/** What it loads into a VMM whose memory can be copied while it runs. */
export const copyableLibraryOf = (launcher: string): string => `${launcher}-copyable.so`;

/** What the launcher itself loads into a zygote; run_bare in jail.c makes the same name. */
const zygoteLibraryOf = (launcher: string): string => `${launcher}-zygote.so`;

/** Path of the program; the second call takes a millisecond. @throws StrataError `machine.launcherBuild` */
export async function ensureLauncher(instance: Instance): Promise<string> {
  const sources = await readSources();
  const hash = createHash('sha256').update(`${flags.join(' ')} ${hostArchitecture}\n`);
  for (const [name, text] of sources) hash.update(`${basename(name)}\0`).update(text).update('\0');
  const home = join(instance.cacheDir, 'launcher');
  const path = join(home, `launcher-${hash.digest('hex').slice(0, 16)}`);
  const made = (...folders: readonly string[]): readonly string[] => sources.map(([name]) => name).filter((name) => name.endsWith('.c') && folders.includes(dirname(name)));
  await Promise.all([
    [heapLibraryOf(path), '-shared', '-fPIC', join(preloadFolder, 'kept-heap.c')],
    [copyableLibraryOf(path), '-shared', '-fPIC', '-fvisibility=hidden', join(preloadFolder, 'copyable.c')],
    [zygoteLibraryOf(path), '-shared', '-fPIC', '-fvisibility=hidden', '-U_FORTIFY_SOURCE', ...made(sourceFolder, preloadFolder, zygoteFolder)],
    [path, '-static', ...made(sourceFolder)],
  ].map(async ([to = '', ...parts]) => { if (!existsSync(to)) await compileOnce(home, to, parts); }));
  return path;
}

/** What this process compiles now: engines that are opened at the same time ask for the same. */
const compiling = new Map<string, Promise<void>>();

async function compileOnce(home: string, path: string, parts: readonly string[]): Promise<void> {
  const made = compiling.get(path) ?? compile(home, path, parts).finally(() => compiling.delete(path));
  compiling.set(path, made);
  await made;
}

async function readSources(): Promise<readonly (readonly [string, Buffer])[]> {
  const folders = await Promise.all([sourceFolder, preloadFolder, zygoteFolder].map(async (folder) => (await readdir(folder)).map((name) => join(folder, name))));
  const paths = folders.flat().filter((path) => /\.[ch]$/.test(path)).sort();
  return Promise.all(paths.map(async (path) => [path, await readFile(path)] as const));
}

async function compile(home: string, path: string, parts: readonly string[]): Promise<void> {
  await mkdir(home, { recursive: true });
  const work = await mkdtemp(join(home, '.build-'));
  const made = join(work, 'launcher');
  try {
    await runProcess(['gcc', ...flags, '-o', made, ...parts], { timeoutMs: 120_000 });
    await rename(made, path); // whole or not there, whoever compiles at the same time
  } catch (cause) {
    throw new StrataError(`the launcher cannot be compiled: ${asStrataError(cause, 'gcc').message}`, {
      code: 'machine.launcherBuild', kind: 'unavailable', cause, advice: `install ${launcherPackages.join(' and ')}`,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
