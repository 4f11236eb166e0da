/**
 * Debian packages of any release and architecture, fetched by apt with a configuration of its own: the
 * host's package state is neither read nor changed. The archive's address is taken from the host's own
 * sources; packages are verified against Debian's keyring.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { childEnvironment, runProcess, StrataError, type Architecture, debianArchitecture } from '#base';

export const debianSuites = ['bookworm', 'trixie'] as const;
export type DebianSuite = (typeof debianSuites)[number];

export interface PackageWish { readonly name: string; readonly suite: DebianSuite; readonly architecture: Architecture | 'all' }
export interface FetchedPackage { readonly name: string; readonly version: string; readonly path: string }

export interface DebianArchive {
  /** Version that the archive offers now. */
  version(wish: PackageWish): Promise<string>;
  /** Names of what a package depends on directly. */
  depends(wish: PackageWish): Promise<readonly string[]>;
  /** Files of the packages, from the cache where they are there already. */
  fetch(wishes: readonly PackageWish[], signal?: AbortSignal): Promise<readonly FetchedPackage[]>;
}

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Package lists older than this are fetched again. */
const listsMaxAgeMs = 24 * 3600_000;
/** As long as another build may fetch; each call's own limit begins behind it. */
const lockWaitMs = 600_000;

/** @param folder for lists and packages; shared by builds, kept between them. */
export async function openDebianArchive(folder: string, signal?: AbortSignal): Promise<DebianArchive> {
  const config = await configure(folder);
  const env = { ...childEnvironment, APT_CONFIG: config };
  await refreshLists(folder, env, signal);
  const spec = (wish: PackageWish) => `${wish.name}${wish.architecture === 'all' ? '' : `:${debianArchitecture[wish.architecture]}`}`;
  const showOne = async (wish: PackageWish): Promise<Map<string, string>> => {
    const { stdout } = await runProcess([...together(folder), 'apt-cache', 'show', '--no-all-versions', '-t', wish.suite, '--', spec(wish)], { env, timeoutMs: lockWaitMs + 60_000 });
    return fieldsOf(stdout);
  };
  return {
    version: async (wish) => (await showOne(wish)).get('Version') ?? '',
    depends: async (wish) => ((await showOne(wish)).get('Depends') ?? '').split(',').map((part) => part.trim().split(/[\s|(:]/)[0] ?? '').filter((name) => name !== ''),
    fetch: async (wishes, abort) => {
      const files = new Map<PackageWish, FetchedPackage>();
      // One suite at a time: two suites may hold packages of one name.
      for (const suite of debianSuites) {
        const group = wishes.filter((wish) => wish.suite === suite);
        const fetched = group.length === 0 ? [] : await fetchAll(folder, env, group, spec, abort ?? signal);
        group.forEach((wish, at) => files.set(wish, fetched[at] as FetchedPackage));
      }
      return wishes.map((wish) => files.get(wish) as FetchedPackage);
    },
  };
}

async function configure(folder: string): Promise<string> {
  for (const part of ['lists/partial', 'archives/partial', 'debs', 'state']) await mkdir(join(folder, part), { recursive: true });
  await writeFile(join(folder, 'state/status'), '');
  const sources = ['Types: deb', `URIs: ${await archiveAddress()}`, `Suites: ${debianSuites.join(' ')}`, 'Components: main', 'Architectures: amd64 arm64', `Signed-By: ${keyring}`, ''].join('\n');
  await writeFile(join(folder, 'debian.sources'), sources);
  const settings: readonly (readonly [string, string])[] = [
    ['Dir::Etc::sourcelist', join(folder, 'debian.sources')], ['Dir::Etc::sourceparts', '-'], ['Dir::Etc::preferences', '-'], ['Dir::Etc::preferencesparts', '-'],
    ['Dir::State', join(folder, 'state')], ['Dir::State::lists', join(folder, 'lists')], ['Dir::State::status', join(folder, 'state/status')],
    ['Dir::Cache', folder], ['Dir::Cache::archives', join(folder, 'archives')], ['APT::Architecture', 'amd64'], ['APT::Sandbox::User', 'root'],
    ['Acquire::Languages', 'none'], ['Acquire::Retries', '3'],
  ];
  const text = `${settings.map(([name, value]) => `${name} "${value}";`).join('\n')}\nAPT::Architectures {"amd64"; "arm64";};\n`;
  const path = join(folder, 'apt.conf');
  await writeFile(path, text);
  return path;
}

/** The address the host itself gets Debian's main archive from. */
export async function archiveAddress(): Promise<string> {
  const folder = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list', ...(existsSync(folder) ? (await readdir(folder)).map((name) => join(folder, name)) : [])].filter((path) => existsSync(path));
  for (const path of files) {
    const text = await readFile(path, 'utf8');
    const found = path.endsWith('.sources') ? addressInStanza(text) : /^deb(?:\s+\[[^\]]*\])?\s+(\S+)\s+(?:bookworm|trixie|stable)\s/m.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  throw new StrataError('the host has no apt source for Debian\'s main archive', { code: 'guestOs.noArchive', kind: 'unavailable', advice: 'add a Debian 12 or 13 source to /etc/apt/sources.list.d' });
}

function addressInStanza(text: string): string | undefined {
  for (const stanza of text.split(/\n\s*\n/)) {
    const fields = fieldsOf(stanza);
    const suites = (fields.get('Suites') ?? '').split(/\s+/);
    if (suites.some((suite) => suite === 'bookworm' || suite === 'trixie' || suite === 'stable')) return fields.get('URIs')?.split(/\s+/)[0];
  }
  return undefined;
}

function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
    if (match !== null && !fields.has(match[1] as string)) fields.set(match[1] as string, match[2] as string);
  }
  return fields;
}

/**
 * Runs what follows when no other apt writes in the folder: apt refuses at once where its lists are locked, and the guest
 * OS of two architectures, or of two daemons, is built at the same time. flock(1) becomes the command, so it ends with it.
 */
const alone = (folder: string) => locked(folder, '--exclusive');
/** What only reads waits for writers, not for other readers. */
const together = (folder: string) => locked(folder, '--shared');
const locked = (folder: string, how: string) => ['flock', how, '--no-fork', '--timeout', String(lockWaitMs / 1000), join(folder, 'apt.lock')] as const;

async function refreshLists(folder: string, env: Record<string, string>, signal?: AbortSignal): Promise<void> {
  const stamp = join(folder, 'lists.stamp');
  const age = existsSync(stamp) ? Date.now() - (await stat(stamp)).mtimeMs : Number.POSITIVE_INFINITY;
  if (age < listsMaxAgeMs) return;
  try {
    await runProcess([...alone(folder), 'apt-get', 'update', '-q', '-o', 'APT::Update::Error-Mode=any'], { env, timeoutMs: lockWaitMs + 300_000, ...(signal === undefined ? {} : { signal }) });
    await writeFile(stamp, '');
  } catch (cause) {
    // Lists of an earlier day still name packages that may be in the cache.
    if (existsSync(stamp)) return;
    const said = cause instanceof StrataError && typeof cause.details?.['stderr'] === 'string' ? cause.details['stderr'].split('\n').findLast((line) => line.startsWith('E:')) : undefined;
    throw new StrataError(`Debian's package lists cannot be fetched${said === undefined ? '' : `: ${said.slice(3)}`}`, { code: 'guestOs.noNetwork', kind: 'unavailable', cause, advice: 'check the network and the apt sources of this host' });
  }
}

async function fetchAll(folder: string, env: Record<string, string>, wishes: readonly PackageWish[], spec: (wish: PackageWish) => string, signal?: AbortSignal): Promise<readonly FetchedPackage[]> {
  const debs = join(folder, 'debs');
  const argv = [...new Set(wishes.map((wish) => `${spec(wish)}/${wish.suite}`))];
  const { stdout } = await runProcess([...together(folder), 'apt-get', 'download', '--print-uris', '-q', '--', ...argv], { env, timeoutMs: lockWaitMs + 60_000 });
  const files = [...stdout.matchAll(/^'[^']*' (\S+) \d+/gm)].map((match) => match[1] as string);
  if (files.length !== argv.length) throw new StrataError(`the archive offers ${files.length} of ${argv.length} packages: ${argv.join(', ')}`, { code: 'guestOs.packageMissing', kind: 'unavailable' });
  const missing = files.some((file) => !existsSync(join(debs, file)));
  if (missing) await runProcess([...alone(folder), 'apt-get', 'download', '-q', '--', ...argv], { env, cwd: debs, timeoutMs: lockWaitMs + 600_000, ...(signal === undefined ? {} : { signal }) });
  const byName = new Map(files.map((file) => [file.slice(0, file.indexOf('_')) + (file.endsWith('_arm64.deb') ? ':aarch64' : file.endsWith('_amd64.deb') ? ':x86_64' : ':all'), file]));
  return wishes.map((wish) => {
    const file = byName.get(`${wish.name}:${wish.architecture}`) ?? byName.get(`${wish.name}:all`);
    if (file === undefined) throw new StrataError(`package ${spec(wish)} was not fetched`, { code: 'guestOs.packageMissing', kind: 'unavailable' });
    return { name: wish.name, version: decodeURIComponent(file.split('_')[1] ?? ''), path: join(debs, file) };
  });
}
