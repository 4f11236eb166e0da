/**
 * apt with a configuration of its own for one suite and architecture: the host's package state is neither
 * read nor changed. Addresses, proxies and the keyring are the host's; security updates come with them.
 */
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { childEnvironment, debianArchitecture, runProcess, StrataError, type Architecture } from '#base';
import type { DebianRecipe } from '../image.ts';
import { takeTurns } from '../take-turns.ts';

export type Suite = DebianRecipe['suite'];

export interface AptFolder {
  readonly env: Readonly<Record<string, string>>;
  /** When the lists were fetched, in ms; part of what a resolution depends on. */
  readonly listsAt: number;
  /** Package files of all suites and architectures. */
  readonly archives: string;
  readonly suite: Suite;
  readonly architecture: Architecture;
}

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const listsMaxAgeMs = 24 * 3600_000;

/** @throws StrataError `image.noPackageLists` */
export async function openAptFolder(root: string, suite: Suite, architecture: Architecture, signal?: AbortSignal): Promise<AptFolder> {
  const folder = join(root, 'apt', `${suite}-${debianArchitecture[architecture]}`);
  const archives = join(root, 'archives');
  return takeTurns(folder, async () => {
    const stamp = join(folder, 'lists.stamp');
    const env = { ...childEnvironment, APT_CONFIG: join(folder, 'apt.conf'), DEBIAN_FRONTEND: 'noninteractive' };
    const age = Date.now() - (await modified(stamp) ?? 0);
    if (age > listsMaxAgeMs) await refresh({ folder, archives, suite, architecture, stamp, env }, signal);
    return { env, listsAt: await modified(stamp) ?? 0, archives, suite, architecture };
  });
}

async function refresh(at: { folder: string; archives: string; suite: Suite; architecture: Architecture; stamp: string; env: Record<string, string> }, signal?: AbortSignal): Promise<void> {
  const before = await modified(at.stamp);
  await configure(at);
  try {
    await runApt(['update', '-q', '-o', 'APT::Update::Error-Mode=any'], at.env, 300_000, signal);
    await writeFile(at.stamp, '');
  } catch (cause) {
    signal?.throwIfAborted();
    if (before !== undefined) return; // older lists still name packages that may be in the cache
    throw new StrataError(`Debian's package lists of ${at.suite} cannot be fetched`, { code: 'image.noPackageLists', kind: 'unavailable', cause, advice: 'check the network and the apt sources of this host' });
  }
}

const lockWaitMs = 300_000;

/** apt-get, waiting while another process of ours holds apt's lock. */
export async function runApt(args: readonly string[], env: Readonly<Record<string, string>>, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const end = Date.now() + lockWaitMs;
  for (;;) {
    try {
      await runProcess(['apt-get', ...args], { env, timeoutMs, ...(signal === undefined ? {} : { signal }) });
      return;
    } catch (thrown) {
      const locked = thrown instanceof StrataError && /Could not get lock|Unable to lock/.test(JSON.stringify(thrown.details ?? {}));
      if (!locked || Date.now() > end) throw thrown;
      await wait(200, undefined, signal === undefined ? {} : { signal });
    }
  }
}

async function configure(at: { folder: string; archives: string; suite: Suite; architecture: Architecture }): Promise<void> {
  const { folder, archives } = at;
  for (const path of [join(folder, 'lists/partial'), join(folder, 'state'), join(archives, 'partial')]) await mkdir(path, { recursive: true });
  const debian = debianArchitecture[at.architecture];
  await writeFile(join(folder, 'status'), '');
  await writeFile(join(folder, 'debian.sources'), await sourcesOf(at.suite, debian));
  const settings: readonly (readonly [string, string])[] = [
    ['Dir::Etc::sourcelist', join(folder, 'debian.sources')], ['Dir::Etc::sourceparts', '/dev/null'], ['Dir::Etc::preferences', '/dev/null'], ['Dir::Etc::preferencesparts', '/dev/null'],
    ['Dir::Etc::parts', '/dev/null'], ['Dir::Etc::main', '/dev/null'],
    ['Dir::State', join(folder, 'state')], ['Dir::State::lists', join(folder, 'lists')], ['Dir::State::status', join(folder, 'status')],
    ['Dir::Cache', folder], ['Dir::Cache::archives', archives], ['APT::Architecture', debian], ['APT::Sandbox::User', 'root'],
    ['APT::Install-Recommends', 'false'], ['Acquire::Languages', 'none'], ['Acquire::Retries', '3'],
  ];
  const own = settings.map(([name, value]) => `${name} "${value}";`).join('\n');
  await writeFile(join(folder, 'apt.conf'), `${own}\nAPT::Architectures {"${debian}";};\n${await hostTransport()}`);
}

/** How the host reaches archives (proxies, time limits): the rest of its configuration is its own affair. */
async function hostTransport(): Promise<string> {
  const { stdout } = await runProcess(['apt-config', 'dump', 'Acquire']);
  return `${stdout.split('\n').filter((line) => /^Acquire::(http|https|ftp|Check-Valid-Until|Check-Date|ForceIPv4|ForceIPv6)\b/.test(line)).join('\n')}\n`;
}

async function sourcesOf(suite: Suite, debian: string): Promise<string> {
  const { main, security } = await hostAddresses();
  const stanza = (uri: string, suites: string) => ['Types: deb', `URIs: ${uri}`, `Suites: ${suites}`, 'Components: main', `Architectures: ${debian}`, `Signed-By: ${keyring}`, ''].join('\n');
  return [stanza(main, `${suite} ${suite}-updates`), ...(security === undefined ? [] : [stanza(security, `${suite}-security`)])].join('\n');
}

/** The addresses the host itself gets Debian from. @throws StrataError `image.noArchive` */
export async function hostAddresses(): Promise<{ readonly main: string; readonly security: string | undefined }> {
  const folder = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list', ...(await readdir(folder).catch(() => [])).map((name) => join(folder, name))];
  let main: string | undefined;
  let security: string | undefined;
  for (const path of files) {
    const text = await readFile(path, 'utf8').catch(() => '');
    for (const { uri, suites } of path.endsWith('.sources') ? stanzasOf(text) : linesOf(text)) {
      if (suites.some((one) => /^(bookworm|trixie|stable|oldstable)$/.test(one))) main ??= uri;
      if (suites.some((one) => one.endsWith('-security'))) security ??= uri;
    }
  }
  if (main === undefined) throw new StrataError("the host has no apt source for Debian's main archive", { code: 'image.noArchive', kind: 'unavailable', advice: 'add a Debian 12 or 13 source to /etc/apt/sources.list.d' });
  return { main, security };
}

interface Source { readonly uri: string; readonly suites: readonly string[] }

function stanzasOf(text: string): Source[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'mi').exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    const uri = field('URIs')[0];
    return uri === undefined || !field('Types').includes('deb') || field('Enabled')[0] === 'no' ? [] : [{ uri, suites: field('Suites') }];
  });
}

function linesOf(text: string): Source[] {
  return [...text.matchAll(/^deb(?:\s+\[[^\]]*\])?\s+(\S+)\s+(\S+)/gm)].map((match) => ({ uri: match[1] as string, suites: [match[2] as string] }));
}

async function modified(path: string): Promise<number | undefined> {
  return stat(path).then((one) => one.mtimeMs, () => undefined);
}
