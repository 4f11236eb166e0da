/**
 * A Debian system of the host's architecture with its packages' scripts run, kept as a tar by its content: the base, the
 * same for all images of a suite, and, on top of it, each set of packages that was asked for of late. Whoever changes a file
 * of their own waits for no package.
 */
import { existsSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { childEnvironment, runProcess, StrataError } from '#base';
import { canonicalJson } from '../../build-guest-spec.ts';
import { indexLayers } from '../flatten/index-layers.ts';
import { flattenLimits } from '../flatten/layer.ts';
import { streamMerged } from '../flatten/stream-merged.ts';
import { temporaryName } from '../image-files.ts';
import type { AptFolder } from './apt-folder.ts';
import { dpkgConfiguration } from './kept-files.ts';
import { newestPackage } from './newest-package.ts';
import { resolveOnce } from './resolution-memo.ts';
import { fetchPackages, packagesOf, type InstallStep } from './resolve-packages.ts';
import { runInRoot, type RootOptions } from './run-in-root.ts';
import { takeTurns } from '../take-turns.ts';
import { unpackedLayers } from './unpacked-layers.ts';

/** Changes when a base is made differently. */
const baseVersion = 1;

/** Changes when packages are installed differently. */
const installedVersion = 1;
/** Sets of packages that are kept: of some 50 to 300 MB each. */
const keptSystems = 6;

export interface InstalledWish {
  readonly apt: AptFolder;
  /** What the recipe asks for, for people. */
  readonly names: readonly string[];
  readonly steps: readonly InstallStep[];
  /** Folder of caches. */
  readonly folder: string;
  readonly signal?: AbortSignal;
  /** Called where they have to be installed. */
  readonly installing?: () => void;
}

/** A tar of the system with those packages; made where it is not there. */
export function ensureInstalled(wish: InstalledWish): Promise<string> {
  const { apt, steps, folder } = wish;
  const key = createHash('sha256').update(canonicalJson({ installedVersion, baseVersion, suite: apt.suite, architecture: apt.architecture, packages: packagesOf(steps).map((one) => one.file).sort() })).digest('hex');
  const kept = join(folder, 'installed');
  const path = join(kept, `${key}.tar`);
  return takeTurns(path, async () => {
    if (!existsSync(path)) await buildInstalled(wish, path);
    await utimes(path, new Date(), new Date());
    await dropOldest(kept);
    return path;
  });
}

async function buildInstalled({ apt, names, steps, folder, signal, installing }: InstalledWish, path: string): Promise<void> {
  installing?.();
  await fetchPackages(apt, names, packagesOf(steps), signal);
  const work = await temporaryName(join(folder, 'work', 'installed'));
  await mkdir(work, { recursive: true });
  try {
    const root = await installRoot(apt, names, steps, folder, work, signal);
    const tar = join(work, 'root.tar');
    await packRoot(root, tar, signal, await newestPackage(apt.archives, packagesOf(steps).map((one) => one.file)));
    await mkdir(join(folder, 'installed'), { recursive: true });
    await rename(tar, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** By their last use; what is being read was used a moment ago. */
async function dropOldest(folder: string): Promise<void> {
  const found = await Promise.all((await readdir(folder)).map(async (name) => ({ path: join(folder, name), usedAt: (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })));
  for (const { path } of found.sort((one, other) => other.usedAt - one.usedAt).slice(keptSystems)) await rm(path, { force: true });
}

/** Makes `work/root` with the packages installed. */
async function installRoot(apt: AptFolder, names: readonly string[], steps: readonly InstallStep[], folder: string, work: string, signal?: AbortSignal): Promise<string> {
  const base = await ensureBase(apt, folder, signal);
  const root = join(work, 'root');
  await mkdir(root);
  await runProcess(['tar', '--extract', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--file', base.path, '--directory', root], { timeoutMs: 300_000, ...(signal === undefined ? {} : { signal }) });
  const at: RootOptions = { root, archives: apt.archives, ...(signal === undefined ? {} : { signal }) };
  for (const argv of dpkgCalls(steps, base.names)) await runInRoot(argv, at).catch((thrown: unknown) => { throw installFailed(names, thrown); });
  return root;
}

/** apt's order without what the base has, with calls that follow each other put together. */
function dpkgCalls(steps: readonly InstallStep[], there: ReadonlySet<string>): string[][] {
  const calls: string[][] = [];
  for (const step of steps) {
    if (there.has('unpack' in step ? step.unpack.name : step.configure)) continue;
    const [verb, argument] = 'unpack' in step ? ['--unpack', `/tmp/debs/${step.unpack.file}`] : ['--configure', step.configure];
    const last = calls.at(-1);
    if (last?.[2] === verb) last.push(argument);
    else calls.push(['dpkg', '--force-depends', verb, argument]);
  }
  // What triggers left for later.
  return calls.length === 0 ? [] : [...calls, ['dpkg', '--configure', '--pending']];
}

async function ensureBase(apt: AptFolder, folder: string, signal?: AbortSignal): Promise<{ readonly path: string; readonly names: ReadonlySet<string> }> {
  const steps = await resolveOnce(apt, [], folder, signal);
  const key = createHash('sha256').update(canonicalJson({ baseVersion, suite: apt.suite, architecture: apt.architecture, packages: packagesOf(steps).map((one) => one.file).sort() })).digest('hex');
  const path = join(folder, 'bases', `${key}.tar`);
  return takeTurns(path, async () => {
    if (!existsSync(path)) await buildBase(apt, steps, folder, path, signal);
    return { path, names: new Set(packagesOf(steps).map((one) => one.name)) };
  });
}

async function buildBase(apt: AptFolder, steps: readonly InstallStep[], folder: string, path: string, signal?: AbortSignal): Promise<void> {
  await fetchPackages(apt, [], packagesOf(steps), signal);
  const work = await temporaryName(join(folder, 'work', 'base'));
  const root = join(work, 'root');
  await mkdir(root, { recursive: true });
  try {
    const packages = packagesOf(steps);
    const layers = await unpackedLayers(packages, apt.archives, work, apt.architecture, signal);
    await untar(streamMerged('base', layers, await indexLayers('base', layers, flattenLimits, signal)), root, signal);
    await prepareDpkg(root);
    // All at once and dependencies aside: each of these needs the others while it is set up.
    const install = ['dpkg', '--install', '--force-depends', ...packages.map((one) => `/tmp/debs/${one.file}`)];
    await runInRoot(install, { root, archives: apt.archives, ...(signal === undefined ? {} : { signal }) }).catch((thrown: unknown) => { throw installFailed(['the base system'], thrown); });
    await rm(join(root, 'tmp/debs'), { recursive: true, force: true });
    await mkdir(join(folder, 'bases'), { recursive: true });
    const tar = join(work, 'base.tar');
    await packRoot(root, tar, signal);
    await rename(tar, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function prepareDpkg(root: string): Promise<void> {
  for (const path of ['etc/dpkg/dpkg.cfg.d', 'var/lib/dpkg/info', 'var/lib/dpkg/updates', 'var/lib/dpkg/triggers', 'tmp/debs']) await mkdir(join(root, path), { recursive: true });
  await writeFile(join(root, 'var/lib/dpkg/status'), '');
  await writeFile(join(root, 'var/lib/dpkg/available'), '');
  await writeFile(join(root, 'etc/dpkg/dpkg.cfg.d/strata'), dpkgConfiguration);
  // No service is started while a system is put together.
  await writeFile(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
}

/** The whole tree as a tar, names sorted. @param newest seconds; nothing is dated later */
async function packRoot(root: string, path: string, signal?: AbortSignal, newest?: number): Promise<void> {
  await runProcess(['tar', '--create', ...(newest === undefined ? [] : ['--clamp-mtime', `--mtime=@${newest}`]), '--numeric-owner', '--xattrs', '--format=pax', '--sort=name', '--pax-option=delete=atime,delete=ctime', '--file', path, '--directory', root, '.'], { timeoutMs: 600_000, ...(signal === undefined ? {} : { signal }) });
}

async function untar(tar: AsyncIterable<Buffer>, root: string, signal?: AbortSignal): Promise<void> {
  const child = spawn('tar', ['--extract', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--directory', root], { env: { ...childEnvironment }, stdio: ['pipe', 'ignore', 'pipe'], timeout: 600_000, killSignal: 'SIGKILL' });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => { errors = (errors + chunk.toString('utf8')).slice(-1024); });
  const ended = new Promise<number | null>((resolve) => { child.on('error', () => { resolve(-1); }); child.on('close', resolve); });
  try {
    await pipeline(Readable.from(tar, { objectMode: false }), child.stdin, signal === undefined ? {} : { signal });
  } catch (thrown) {
    child.kill('SIGKILL');
    await ended;
    throw thrown;
  }
  if ((await ended) !== 0) throw new StrataError(`tar cannot unpack the base system: ${errors.trim()}`, { code: 'image.baseFailed', kind: 'internal' });
}

function installFailed(names: readonly string[], cause: unknown): StrataError {
  return new StrataError(`installing ${names.join(', ')} failed: ${cause instanceof Error ? cause.message : String(cause)}`, { code: 'image.installFailed', kind: 'internal', cause, advice: 'the last lines of dpkg say which package; take it out of the recipe, or try again' });
}
