/** What a jailed UML can see of the host: the kernel it is, its initramfs, and the C library. */
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { jail } from './uml-places.ts';

export interface JailContents {
  readonly readable: readonly { readonly source: string; readonly target?: string }[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

export function jailContents(guestOs: { readonly kernel: string; readonly initramfs: string }): JailContents {
  const present = ['/usr/lib', '/usr/lib64', '/etc/ld.so.cache'].filter((path) => existsSync(path));
  const libraries = ['/lib', '/lib64'].filter((path) => existsSync(path));
  const linked = libraries.filter((path) => lstatSync(path).isSymbolicLink());
  return {
    readable: [
      ...present.map((source) => ({ source })),
      ...libraries.filter((path) => !linked.includes(path)).map((source) => ({ source })),
      { source: guestOs.kernel, target: jail.kernel }, { source: guestOs.initramfs, target: jail.initramfs },
    ],
    links: linked.map((path) => ({ path, target: readlinkSync(path) })),
  };
}
