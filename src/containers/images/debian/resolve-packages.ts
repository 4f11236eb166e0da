/** Which packages of which versions a wish comes to, by apt's own resolver, in the order they must be installed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runProcess, StrataError } from '#base';
import { runApt, type AptFolder } from './apt-folder.ts';
import { takeTurns } from '../take-turns.ts';

export interface ResolvedPackage {
  readonly name: string;
  readonly version: string;
  /** Name of the file as apt keeps it. */
  readonly file: string;
}

/** One step of apt's order; where packages need each other, unpacking and setting up alternate. */
export type InstallStep = { readonly unpack: ResolvedPackage } | { readonly configure: string };

/**
 * What every image stands on. `usr-is-merged` instead of `usrmerge`, which would bring Perl; we merge /usr ourselves.
 */
export const essential = ['?essential', 'usr-is-merged'] as const;

const nameForm = /^[a-z0-9][a-z0-9+.-]*[a-z0-9+.]$/;

/** Everything that must be installed, beginning with nothing. @throws StrataError `image.packageMissing`, `image.packagesConflict` */
export async function resolvePackages(apt: AptFolder, names: readonly string[], signal?: AbortSignal): Promise<readonly InstallStep[]> {
  for (const name of names) if (!nameForm.test(name)) throw missing(apt, name, 'that is no name of a package');
  const { code, stdout, stderr } = await runProcess(['apt-get', '-q', '-s', 'install', '--', ...essential, ...names], {
    env: apt.env, timeoutMs: 60_000, okCodes: [0, 100], ...(signal === undefined ? {} : { signal }),
  });
  if (code !== 0) throw unresolved(apt, names, `${stderr}\n${stdout}`);
  return stepsOf(stdout);
}

function stepsOf(plan: string): InstallStep[] {
  const steps: InstallStep[] = [];
  for (const line of plan.split('\n')) {
    const match = /^(Inst|Conf) (\S+) \((\S+) .*\[(\S+)\]\)/.exec(line);
    if (match === null) continue;
    const [, kind, name, version, architecture] = match as unknown as [string, string, string, string, string];
    if (kind === 'Conf') steps.push({ configure: name });
    else steps.push({ unpack: { name, version, file: `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb` } });
  }
  return steps;
}

export function packagesOf(steps: readonly InstallStep[]): ResolvedPackage[] {
  return steps.flatMap((step) => ('unpack' in step ? [step.unpack] : []));
}

/** Fetches the packages into the shared cache; apt checks their digests, and puts a file under its name when it is whole. */
export async function fetchPackages(apt: AptFolder, names: readonly string[], packages: readonly ResolvedPackage[], signal?: AbortSignal): Promise<void> {
  if (packages.every((one) => existsSync(join(apt.archives, one.file)))) return;
  await takeTurns(join(apt.archives, 'lock'), () => runApt(['-q', '-y', 'install', '--download-only', '--', ...essential, ...names], apt.env, 900_000, signal)).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw new StrataError(`packages of Debian ${apt.suite} cannot be fetched`, { code: 'image.packagesUnreachable', kind: 'unavailable', cause, advice: 'check the network and the apt sources of this host' });
  });
}

function unresolved(apt: AptFolder, names: readonly string[], output: string): StrataError {
  const named = /(?:Unable to locate package|Package '?)\s*([a-z0-9][a-z0-9+.-]*)/.exec(output)?.[1] ?? names.find((name) => output.includes(name)) ?? names.join(', ');
  if (/Unable to locate package|has no installation candidate/.test(output)) return missing(apt, named, 'the archive has none of that name');
  const text = output.split('\n').filter((line) => /Depends|Conflicts|^E:/.test(line)).slice(0, 4).map((line) => line.trim()).join(' | ');
  return new StrataError(`the packages ${names.join(', ')} cannot be installed together from Debian ${apt.suite}: ${text}`, { code: 'image.packagesConflict', kind: 'invalid', advice: 'take one of them out of the recipe' });
}

function missing(apt: AptFolder, name: string, why: string): StrataError {
  return new StrataError(`Debian ${apt.suite} has no package '${name}' for ${apt.architecture}: ${why}`, {
    code: 'image.packageMissing', kind: 'notFound', advice: 'check its name on packages.debian.org, or name another suite', details: { package: name, suite: apt.suite, architecture: apt.architecture },
  });
}
