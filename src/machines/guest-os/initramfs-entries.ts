/** What lies in the initramfs: the agent as /init, crun with exactly the libraries it asks for, a few everyday programs, and kernel modules in load order. */
import { existsSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Architecture } from '#base';
import { neededLibraries } from './needed-libraries.ts';
import { readModules } from './read-modules.ts';
import type { CpioEntry } from './write-cpio.ts';

/** 'uml' for a kernel that runs as a program of the host. */
export type GuestFlavour = 'machine' | 'uml';

/** `first` for the line to the host: loaded before anything else. `rest` for containers: loaded once the line is open. */
const moduleLists: Record<GuestFlavour, { readonly first: readonly string[]; readonly rest: readonly string[] }> = {
  machine: { first: ['virtio_pci', 'virtio_console'], rest: ['virtio_net', 'virtio_scsi', 'sd_mod', 'virtio_blk', 'virtio_rng', 'crc32c_generic', 'ext4', 'squashfs', 'overlay', 'macvlan'] },
  // The serial line, ubd disks, the vector card and ext4 are built into UML's kernel; programs expect to listen on `::`.
  uml: { first: [], rest: ['squashfs', 'overlay', 'macvlan', 'ipv6'] },
};

const loaders: Record<Architecture, { readonly path: string; readonly triplet: string }> = {
  x86_64: { path: 'lib64/ld-linux-x86-64.so.2', triplet: 'x86_64-linux-gnu' },
  aarch64: { path: 'lib/ld-linux-aarch64.so.1', triplet: 'aarch64-linux-gnu' },
};

/** For `machine exec`: programs of busybox, each a link to the one file. The agent calls none of them. */
const everydayPrograms = [
  'sh', 'ash', 'cat', 'cp', 'date', 'dd', 'df', 'dmesg', 'du', 'echo', 'env', 'false', 'find', 'free', 'grep', 'head', 'hostname', 'id', 'ip', 'kill', 'less', 'ln', 'ls', 'lsmod', 'mkdir', 'more', 'mount', 'mv', 'nc', 'netstat',
  'nslookup', 'ping', 'printf', 'ps', 'pwd', 'rm', 'rmdir', 'sed', 'sleep', 'sort', 'stat', 'sync', 'tail', 'tee', 'test', 'time', 'top', 'touch', 'true', 'umount', 'uname', 'uptime', 'vi', 'wc', 'wget', 'which', 'whoami', 'xargs', 'yes',
];

export interface InitramfsInput {
  readonly architecture: Architecture;
  readonly flavour: GuestFlavour;
  readonly release: string;
  readonly modules: string;
  readonly programs: string;
  readonly init: string;
}

export async function initramfsEntries(input: InitramfsInput): Promise<readonly CpioEntry[]> {
  return [
    { path: 'init', kind: 'file', content: await readFile(input.init), mode: 0o755 },
    ...['dev', 'proc', 'sys', 'etc', 'tmp', 'run'].map((path): CpioEntry => ({ path, kind: 'folder' })),
    { path: 'etc/passwd', kind: 'file', content: Buffer.from('root:x:0:0:root:/root:/bin/sh\n'), mode: 0o644 },
    { path: 'etc/group', kind: 'file', content: Buffer.from('root:x:0:\n'), mode: 0o644 },
    ...await moduleEntries(input),
    ...await programEntries(input),
    { path: 'bin/busybox', kind: 'file', content: await readFile(join(input.programs, 'bin/busybox')), mode: 0o755 },
    ...everydayPrograms.map((name): CpioEntry => ({ path: `bin/${name}`, kind: 'link', target: 'busybox' })),
  ];
}

async function moduleEntries(input: InitramfsInput): Promise<CpioEntry[]> {
  const wanted = moduleLists[input.flavour];
  const { lists: [first = [], rest = []], files } = await readModules(input.modules, [wanted.first, wanted.rest], `${loaders[input.architecture].triplet}-objcopy`);
  const list = (name: string, names: readonly string[]): CpioEntry => ({ path: `modules/${name}`, kind: 'file', content: Buffer.from(names.map((one) => `${one}.ko\n`).join('')), mode: 0o644 });
  return [list('first', first), list('rest', rest), ...[...files].map(([name, content]): CpioEntry => ({ path: `modules/${name}.ko`, kind: 'file', content, mode: 0o644 }))];
}

async function programEntries(input: InitramfsInput): Promise<CpioEntry[]> {
  const { path: loader, triplet } = loaders[input.architecture];
  const crun = await readFile(join(input.programs, 'usr/bin/crun'));
  const files = new Map<string, Buffer>([['usr/bin/crun', crun], [loader, await readFile(await realpath(join(input.programs, loader)))]]);
  const wanted = neededLibraries(crun);
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    const target = `lib/${triplet}/${name}`;
    if (files.has(target) || name === basename(loader)) continue;
    const found = [join(input.programs, 'usr/lib', triplet, name), join(input.programs, 'lib', triplet, name)].find((path) => existsSync(path));
    if (found === undefined) throw new Error(`the guest OS lacks ${name}, which crun needs`);
    const content = await readFile(await realpath(found));
    files.set(target, content);
    wanted.push(...neededLibraries(content));
  }
  return [...files].map(([path, content]): CpioEntry => ({ path, kind: 'file', content, mode: 0o755 }));
}
