/**
 * The guest OS of one architecture: a Debian kernel and an initramfs around the agent. Built once for each
 * content key (our sources, package versions, recipe), kept in the cache folder, never half there.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { debianArchitecture, hostArchitecture, runProcess, type Architecture, type Instance } from '#base';
import { agentSources, buildAgent } from './build-agent.ts';
import { openDebianArchive, type DebianArchive, type DebianSuite, type FetchedPackage, type PackageWish } from './debian-archive.ts';
import { extractKernel } from './extract-kernel.ts';
import { initramfsEntries, type GuestFlavour } from './initramfs-entries.ts';
import { writeCpio } from './write-cpio.ts';

export interface GuestOs {
  readonly kernel: string;
  readonly initramfs: string;
  /** Content key: changes when anything inside changes. */
  readonly version: string;
  readonly kernelRelease: string;
}

export interface GuestOsOptions {
  readonly instance: Instance;
  readonly progress?: (message: string) => void;
  readonly signal?: AbortSignal;
  /** Whose kernel: 'uml' is one that runs as a program of the host. */
  readonly flavour?: GuestFlavour;
}

/** Grows when the recipe below changes in a way its inputs do not show. */
const recipeVersion = 4;

/** By folder. Our own sources do not change while we run: to read them at each start of a machine would cost it milliseconds, and so would marking the build as used. */
const lastUses = new Map<string, { readonly key: string; readonly guestOs: GuestOs; readonly markedAt: number }>();
/** What was used is marked no more often; pruning thinks in days. */
const markEveryMs = 60_000;
const inFlight = new Map<string, Promise<GuestOs>>();

/** Builds it where it is not there; concurrent calls share one build. The second call takes milliseconds. */
export function ensureGuestOs(architecture: Architecture, options: GuestOsOptions): Promise<GuestOs> {
  const place = `${architecture}${options.flavour === 'uml' ? '-uml' : ''}`;
  const running = inFlight.get(place);
  if (running !== undefined) return running;
  const work = findOrBuild(architecture, place, options).finally(() => inFlight.delete(place));
  inFlight.set(place, work);
  return work;
}

async function findOrBuild(architecture: Architecture, placeName: string, options: GuestOsOptions): Promise<GuestOs> {
  const home = join(guestOsFolder(options.instance), placeName);
  const last = lastUses.get(home);
  if (last !== undefined && performance.now() - last.markedAt < markEveryMs && existsSync(last.guestOs.kernel)) return last.guestOs;
  const key = last?.key ?? await sourceKey(placeName);
  const place = join(home, key);
  const used = async (): Promise<GuestOs> => {
    const guestOs = await describe(place, key);
    lastUses.set(home, { key, guestOs, markedAt: performance.now() });
    return guestOs;
  };
  if (await markUsed(place)) return used();
  await mkdir(home, { recursive: true });
  const work = await mkdtemp(join(home, unfinishedPrefix));
  try {
    await build(architecture, work, options);
    // Two builders may end at the same time; both made the same, so the loser's is thrown away.
    await rename(join(work, 'out'), place).catch((error: NodeJS.ErrnoException) => { if (!existsSync(join(place, 'release'))) throw error; });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return used();
}

/** The build of these sources where it is there already; nothing is made, and it does not count as used. */
export async function builtGuestOs(architecture: Architecture, options: Pick<GuestOsOptions, 'instance' | 'flavour'>): Promise<GuestOs | undefined> {
  const placeName = `${architecture}${options.flavour === 'uml' ? '-uml' : ''}`;
  const key = await sourceKey(placeName);
  const place = join(guestOsFolder(options.instance), placeName, key);
  return existsSync(join(place, buildMark)) ? describe(place, key) : undefined;
}

/** Builds of all architectures and flavours, each in a folder of its own; in them a folder for each content key. */
export const guestOsFolder = (instance: Instance): string => join(instance.cacheDir, 'guest-os');
/** Written last, and touched at each use: a build with it is whole, and as old as its last use. */
export const buildMark = 'release';
/** A build under way. */
export const unfinishedPrefix = '.build-';

/** False where there is no such build. What was used of late is not pruned (prune-guest-os.ts). */
async function markUsed(place: string): Promise<boolean> {
  const now = new Date();
  return utimes(join(place, buildMark), now, now).then(() => true, (error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return false; throw error; });
}

async function describe(place: string, version: string): Promise<GuestOs> {
  return { kernel: join(place, 'kernel'), initramfs: join(place, 'initramfs'), version, kernelRelease: (await readFile(join(place, 'release'), 'utf8')).trim() };
}

/** What the result depends on and can be known without the network. */
export async function sourceKey(placeName: string): Promise<string> {
  const hash = createHash('sha256').update(`${recipeVersion} ${placeName}\n`);
  for (const [path, text] of await agentSources()) hash.update(`${path}\0${text}\0`);
  return hash.digest('hex').slice(0, 16);
}

async function build(architecture: Architecture, work: string, options: GuestOsOptions): Promise<void> {
  const say = options.progress ?? (() => undefined);
  say('fetching Debian packages');
  const archive = await openDebianArchive(join(options.instance.cacheDir, 'debian'), options.signal);
  const packages = await fetchPackages(archive, architecture, options);
  say('unpacking');
  const roots = { kernel: join(work, 'kernel'), programs: join(work, 'programs'), target: join(work, 'target'), host: join(work, 'host') };
  await unpack(packages.kernel, roots.kernel);
  await unpack(packages.programs, roots.programs);
  await unpack(packages.target, roots.target);
  await unpack(packages.host, roots.host);
  say('compiling the agent');
  await mkdir(join(work, 'agent'));
  const init = await buildAgent(architecture, roots, join(work, 'agent'));
  say('packing kernel and initramfs');
  const flavour = options.flavour ?? 'machine';
  const moduleFolder = join(roots.kernel, flavour === 'uml' ? 'usr/lib/uml/modules' : 'lib/modules');
  const release = (await readdir(moduleFolder))[0] ?? '';
  await mkdir(join(work, 'out'));
  if (flavour === 'uml') await copyFile(join(roots.kernel, 'usr/bin/linux.uml'), join(work, 'out/kernel'));
  else await writeFile(join(work, 'out/kernel'), extractKernel(await readFile(join(roots.kernel, 'boot', `vmlinuz-${release}`))), { mode: 0o444 });
  const entries = await initramfsEntries({ architecture, flavour, release, modules: join(moduleFolder, release), programs: roots.programs, init });
  await writeFile(join(work, 'out/initramfs'), writeCpio(entries), { mode: 0o444 });
  await writeFile(join(work, 'out/release'), `${release}\n`, { mode: 0o444 });
}

interface Packages { readonly kernel: readonly FetchedPackage[]; readonly programs: readonly FetchedPackage[]; readonly target: readonly FetchedPackage[]; readonly host: readonly FetchedPackage[] }

/** What `machine exec` finds in a guest. */
const programPackages = ['busybox-static'];

/** The kernel package that the cloud kernel's metapackage stands for. */
async function cloudKernel(archive: DebianArchive, architecture: Architecture): Promise<string> {
  const depends = await archive.depends({ name: `linux-image-cloud-${debianArchitecture[architecture]}`, suite: 'bookworm', architecture });
  return depends.find((name) => name.startsWith('linux-image-')) ?? '';
}

async function fetchPackages(archive: DebianArchive, architecture: Architecture, { flavour, signal }: GuestOsOptions): Promise<Packages> {
  const kernel = flavour === 'uml' ? 'user-mode-linux' : await cloudKernel(archive, architecture);
  const wish = (suite: DebianSuite, of: PackageWish['architecture'], names: readonly string[]) => names.map((name): PackageWish => ({ name, suite, architecture: of }));
  const groups = {
    kernel: wish('bookworm', architecture, [kernel]),
    programs: wish('bookworm', architecture, programPackages),
    target: [...wish('trixie', architecture, ['libc6', 'libc6-dev', 'libquickjs']), ...wish('trixie', 'all', ['linux-libc-dev'])],
    host: wish('trixie', hostArchitecture, ['libc6', 'quickjs']),
  };
  const wishes = Object.values(groups).flat();
  const fetched = await archive.fetch(wishes, signal);
  const filesOf = (group: readonly PackageWish[]) => group.map((one) => fetched[wishes.indexOf(one)] as FetchedPackage);
  return { kernel: filesOf(groups.kernel), programs: filesOf(groups.programs), target: filesOf(groups.target), host: filesOf(groups.host) };
}

async function unpack(packages: readonly FetchedPackage[], folder: string): Promise<void> {
  // Debian's merged /usr, made before unpacking so that both spellings of a path lead to one file.
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(folder, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(folder, name));
  }
  for (const one of packages) await runProcess(['dpkg-deb', '--extract', '--', one.path, folder], { timeoutMs: 120_000 });
}
