/** Installs Debian packages by apt-get, without questions; what will be installed is said before. */
import { readdir, stat } from 'node:fs/promises';
import { asStrataError, childEnvironment, runProcess, StrataError, type Clock } from '#base';

export interface InstallProgress {
  /** One line for people: 'install haproxy, nftables'. */
  readonly message: string;
}

export interface InstallOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  onProgress?(progress: InstallProgress): void;
  /** Runs apt-get; tests hand in their own. */
  readonly run?: typeof runProcess;
  /** When the package lists were fetched, milliseconds since 1970; undefined where there are none. */
  readonly listsFrom?: () => Promise<number | undefined>;
}

const staleMs = 24 * 3600_000;
const aptEnvironment = { ...childEnvironment, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' };
const packageName = /^[a-z0-9][a-z0-9+.-]+$/;

/**
 * Installs what is named; does nothing where the list is empty.
 * @throws StrataError `pool.notRoot`, `pool.noNetwork`, `pool.noSuchPackage`, `pool.aptBusy`, `pool.diskFull`, `pool.installFailed`
 */
export async function installPackages(names: readonly string[], options: InstallOptions): Promise<void> {
  if (names.length === 0) return;
  const bad = names.find((name) => !packageName.test(name));
  if (bad !== undefined) throw new StrataError(`'${bad}' is no name of a Debian package`, { code: 'pool.badPackageName', kind: 'invalid' });
  const say = (message: string) => options.onProgress?.({ message });
  if (process.getuid?.() !== 0) throw new StrataError(`${names.length} Debian packages are missing and only root may install them`, { code: 'pool.notRoot', kind: 'refused', advice: `as root: apt-get install ${names.join(' ')}` });
  const from = await (options.listsFrom ?? listsFrom)();
  if (from === undefined || options.clock.now() - from > staleMs) {
    say('fetch Debian\'s package lists');
    await aptGet(['update'], 300_000, options, names).catch((thrown: unknown) => {
      // Old lists may still do; without any, the install cannot.
      if (from === undefined) throw thrown;
      say(`package lists could not be fetched, going on with those there: ${asStrataError(thrown, 'apt-get update').message}`);
    });
  }
  say(`install ${names.join(', ')}`);
  const install = ['install', '--yes', '--no-install-recommends', ...names];
  try {
    await aptGet(install, 1_800_000, options, names);
  } catch (thrown) {
    // Lists a day old may name files the mirror has replaced since: fetch them and try once more.
    if (!(thrown instanceof StrataError) || !['pool.noNetwork', 'pool.noSuchPackage'].includes(thrown.code)) throw thrown;
    say('fetch Debian\'s package lists again');
    await aptGet(['update'], 300_000, options, names);
    await aptGet(install, 1_800_000, options, names);
  }
  say(`installed ${names.length} package${names.length === 1 ? '' : 's'}`);
}

async function aptGet(args: readonly string[], timeoutMs: number, options: InstallOptions, names: readonly string[]): Promise<void> {
  const argv = ['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Dpkg::Options::=--force-confold', '-o', 'APT::Update::Error-Mode=any', ...args] as const;
  try {
    await (options.run ?? runProcess)([...argv], { timeoutMs, env: aptEnvironment, ...(options.signal === undefined ? {} : { signal: options.signal }) });
  } catch (thrown) {
    throw explain(asStrataError(thrown, 'apt-get'), names);
  }
}

/** What apt-get said, in our words. */
export function explain(error: StrataError, names: readonly string[]): StrataError {
  const stderr = error.details?.['stderr'];
  const text = typeof stderr === 'string' ? stderr : error.message;
  const last = text.split('\n').filter((line) => line.startsWith('E:')).slice(-2).join(' ') || error.message;
  const fail = (code: string, kind: StrataError['kind'], message: string, advice: string) => new StrataError(`${message}: ${last}`, { code, kind, advice, cause: error });
  if (/No space left|not enough free space|You don't have enough free space/i.test(text)) return fail('pool.diskFull', 'exhausted', 'no space to install Debian packages', 'free space on / and run it again');
  if (/Unable to locate package|has no installation candidate/.test(text)) return fail('pool.noSuchPackage', 'unavailable', 'Debian\'s lists do not have all packages', 'look at /etc/apt/sources.list: Debian 12 or 13 with `main` is needed');
  if (/Could not resolve|Temporary failure resolving|Could not connect|Connection (timed out|refused)|Network is unreachable|Failed to fetch|Unable to fetch/.test(text)) return fail('pool.noNetwork', 'unavailable', 'Debian packages could not be fetched', `connect this host to a Debian mirror, or install by hand: apt-get install ${names.join(' ')}`);
  if (/Could not get lock|Unable to acquire the dpkg/.test(text)) return fail('pool.aptBusy', 'unavailable', 'another program installs packages', 'wait for it and run this again');
  if (/Permission denied|are you root/.test(text)) return fail('pool.notRoot', 'refused', 'no permission to install packages', 'run as root');
  return new StrataError(`Debian packages could not be installed: ${last}`, { code: 'pool.installFailed', kind: error.kind, advice: `see what it says: apt-get install ${names.join(' ')}`, cause: error });
}

/** The newest package list on this host. */
async function listsFrom(): Promise<number | undefined> {
  const folder = '/var/lib/apt/lists';
  const files = (await readdir(folder).catch(() => [])).filter((name) => /_Packages(\.\w+)?$/.test(name));
  const times = await Promise.all(files.map((name) => stat(`${folder}/${name}`).then((one) => one.mtimeMs, () => 0)));
  return times.length === 0 ? undefined : Math.max(...times);
}
