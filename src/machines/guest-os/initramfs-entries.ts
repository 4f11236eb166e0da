/** What lies in the initramfs: the agent as /init, a few everyday programs, and kernel modules in load order. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture } from '#base';
import { readModules } from './read-modules.ts';
import type { CpioEntry } from './write-cpio.ts';

/** 'uml' for a kernel that runs as a program of the host. */
export type GuestFlavour = 'machine' | 'uml';

/** `first` for the line to the host: loaded before anything else. `rest` for containers: loaded once the line is open. */
const moduleLists: Record<GuestFlavour, { readonly first: readonly string[]; readonly rest: readonly string[] }> = {
  machine: { first: ['virtio_pci', 'virtio_console'], rest: ['virtio_net', 'virtio_scsi', 'sd_mod', 'virtio_blk', 'virtio_rng', 'crc32c_generic', 'ext4', 'squashfs', 'overlay', 'macvlan'] },
  // The serial line, ubd disks, the vector card and ext4 are built into UML's kernel; programs expect to listen on `::`.
  uml: { first: [], rest: ['virtio_blk', 'squashfs', 'overlay', 'macvlan', 'ipv6'] },
};

const triplets: Record<Architecture, string> = { x86_64: 'x86_64-linux-gnu', aarch64: 'aarch64-linux-gnu' };

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
    { path: 'bin/busybox', kind: 'file', content: await readFile(join(input.programs, 'bin/busybox')), mode: 0o755 },
    ...everydayPrograms.map((name): CpioEntry => ({ path: `bin/${name}`, kind: 'link', target: 'busybox' })),
  ];
}

async function moduleEntries(input: InitramfsInput): Promise<CpioEntry[]> {
  const wanted = moduleLists[input.flavour];
  const { lists: [first = [], rest = []], files } = await readModules(input.modules, [wanted.first, wanted.rest], `${triplets[input.architecture]}-objcopy`);
  const list = (name: string, names: readonly string[]): CpioEntry => ({ path: `modules/${name}`, kind: 'file', content: Buffer.from(names.map((one) => `${one}.ko\n`).join('')), mode: 0o644 });
  return [list('first', first), list('rest', rest), ...[...files].map(([name, content]): CpioEntry => ({ path: `modules/${name}.ko`, kind: 'file', content, mode: 0o644 }))];
}
