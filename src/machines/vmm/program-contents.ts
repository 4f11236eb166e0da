/** What a jailed program of the host can see of it: itself, what it names beside, the C library. Read-only, nothing of anybody's. */
import { existsSync, lstatSync, readlinkSync } from 'node:fs';

export interface ProgramContents {
  readonly readable: readonly { readonly source: string; readonly target?: string }[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

/** @param paths those that are there are shown under their own names */
export function programContents(...paths: readonly string[]): ProgramContents {
  const present = ['/usr/lib', '/usr/lib64', ...paths, '/etc/ld.so.cache'].filter((path) => existsSync(path));
  const libraries = ['/lib', '/lib64'].filter((path) => existsSync(path));
  const linked = libraries.filter((path) => lstatSync(path).isSymbolicLink());
  return {
    readable: [...present, ...libraries.filter((path) => !linked.includes(path))].map((source) => ({ source })),
    links: linked.map((path) => ({ path, target: readlinkSync(path) })),
  };
}
