/** What a jailed QEMU can see of the host: its program, libraries and firmware, read-only. Nothing of anybody's. */
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import type { Architecture } from '#base';
import { jailInitramfs, jailKernel, qemuProgram } from './command-line.ts';

export interface JailContents {
  readonly readable: readonly { readonly source: string; readonly target?: string }[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

const folders = ['/usr/lib', '/usr/lib64', '/usr/share/qemu', '/usr/share/seabios'] as const;

export function jailContents(architecture: Architecture, kernel: { readonly kernel: string; readonly initramfs: string } | null): JailContents {
  const present = [...folders, qemuProgram(architecture), '/etc/ld.so.cache'].filter((path) => existsSync(path));
  const libraries = ['/lib', '/lib64'].filter((path) => existsSync(path));
  const linked = libraries.filter((path) => lstatSync(path).isSymbolicLink());
  return {
    readable: [
      ...present.map((source) => ({ source })),
      ...libraries.filter((path) => !linked.includes(path)).map((source) => ({ source })),
      ...(kernel === null ? [] : [{ source: kernel.kernel, target: jailKernel }, { source: kernel.initramfs, target: jailInitramfs }]),
    ],
    links: linked.map((path) => ({ path, target: readlinkSync(path) })),
  };
}
