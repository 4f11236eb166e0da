/** Asks dpkg what is installed. */
import { runProcess } from '#base';
import { compareDebianVersions } from './compare-debian-versions.ts';
import type { HostPackage } from './host-packages.ts';

export interface FoundPackage {
  readonly name: string;
  readonly purpose: string;
  /** Installed version; null where it is missing or half installed. */
  readonly version: string | null;
  readonly minimal?: string;
  /** Installed and new enough. */
  readonly serves: boolean;
}

/** @throws StrataError `process.missing` where there is no dpkg: no Debian */
export async function findPackages(packages: readonly HostPackage[]): Promise<readonly FoundPackage[]> {
  if (packages.length === 0) return [];
  const { stdout } = await runProcess(['dpkg-query', '-W', '-f', '${Package}\t${db:Status-Status}\t${Version}\n', ...packages.map((one) => one.name)], { okCodes: [0, 1] });
  return foundIn(stdout, packages);
}

/** Reads dpkg-query's lines: package, status, version, by tabs. */
export function foundIn(lines: string, packages: readonly HostPackage[]): readonly FoundPackage[] {
  const versions = new Map<string, string>();
  for (const line of lines.split('\n')) {
    const [name, status, version] = line.split('\t');
    if (name !== undefined && status === 'installed' && version !== undefined) versions.set(name, version);
  }
  return packages.map(({ name, purpose, minimal }) => {
    const version = versions.get(name) ?? null;
    const serves = version !== null && (minimal === undefined || compareDebianVersions(version, minimal) >= 0);
    return { name, purpose, version, serves, ...(minimal === undefined ? {} : { minimal }) };
  });
}
