/** What the launcher is told on stdin: pairs of NUL-terminated strings. Pure. describe.c reads it. */
import { StrataError } from '#base';

export interface LaunchDescription {
  /** Own to this VMM; at least 100000. */
  readonly uid: number;
  /** cgroup folders the VMM joins; limits are set already. */
  readonly cgroups: readonly string[];
  /** Files and folders the VMM may read, under their own names unless `target` says otherwise. */
  readonly readable: readonly { readonly source: string; readonly target?: string }[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
  /** Character devices; the jail gets nodes of its own that belong to the VMM. */
  readonly devices: readonly string[];
  /** Descriptors the VMM inherits, numbered from 3 in this order. */
  readonly descriptors: readonly VmmDescriptor[];
  /** Limit of its processes; 256 unless said. */
  readonly processes?: number;
  /** Its program runs guests' processes as children of its own, by ptrace (UML). */
  readonly traces?: boolean;
  /** A folder in memory that the VMM may write, and run code from: UML's guest memory. */
  readonly memory?: { readonly path: string; readonly bytes: number };
  /** Runs only while nobody else wants the processor. */
  readonly idle?: boolean;
  /**
   * What it allocates in large pieces lies in huge pages where the host gives them to those who ask. QEMU copies a kernel several
   * times while it starts, and even without one two thousand pages less are touched first, of which each costs microseconds.
   */
  readonly hugeHeap?: boolean;
  /** What it frees it uses again, instead of giving it back and asking for it anew (preload/kept-heap.c). */
  readonly keptHeap?: boolean;
  /** Its memory can be copied while it runs, where the kernel tells what it writes (preload/copyable.c). */
  readonly copyable?: boolean;
  /**
   * It is to be copied: it runs where the launcher does, without a jail, and hears on this socket in its folder what is wished.
   * For guests only that have seen nothing of anybody's.
   */
  readonly zygote?: string;
  /** A copy of that zygote is made instead of starting the program, which is then the launcher's own. Of its descriptors so many stay the zygote's. */
  readonly copyOf?: { readonly zygote: string; readonly kept: number };
  /** A console's ring that the machine's own begins with: a clone's past is its template's. */
  readonly consoleBefore?: string;
  /** A folder in which the VMM sees its own descriptors by number, for what QEMU opens by a path only. */
  readonly ownDescriptors?: string;
  /** Disks that the VMM opens by name: mounted as `<folder>/<name>`, later ones by `plugDisk`. */
  readonly mounted?: { readonly folder: string; readonly disks: readonly MountedDisk[] };
  readonly program: string;
  readonly argv: readonly string[];
}

export interface MountedDisk { readonly name: string; readonly path: string; readonly readOnly: boolean }

export type VmmDescriptor =
  | { readonly kind: 'listen'; readonly name: string } // a listening UNIX socket of this name in the machine's folder
  | { readonly kind: 'listen-shared'; readonly name: string } // the same in its folder `shared`, for VMMs whose jails are shown that folder
  | { readonly kind: 'console' }
  | { readonly kind: 'line' } // a serial line to the agent; the keeper relays it to the socket `a` (line.c)
  | { readonly kind: 'tap' | 'plain-tap'; readonly name: string } // plain: without virtio's header before each packet
  | { readonly kind: 'disk-ro' | 'disk-rw'; readonly path: string }
  | { readonly kind: 'lock-alone' | 'lock-shared'; readonly path: string } // a hold on a disk that others with such holds respect
  /** Memory that begins as a copy of the file and is this VMM's own. */
  | { readonly kind: 'copied-memory'; readonly path: string }
  /** Memory and state that `fillVmm` fills, once, before its guest runs. */
  | { readonly kind: 'empty-memory'; readonly bytes: number }
  | { readonly kind: 'empty-state' }
  /** What a template's holder holds, by its socket: memory and state to be written, or the same when nobody can change them. */
  | { readonly kind: 'template-memory' | 'template-state' | 'sealed-memory' | 'sealed-state'; readonly path: string };

export const firstDescriptor = 3;

export function encodeLaunchDescription(description: LaunchDescription): Buffer {
  const zygoteFd = firstDescriptor + description.descriptors.length;
  const pairs: (readonly [string, string])[] = [
    ['uid', String(description.uid)],
    ['gid', String(description.uid)],
    ...description.cgroups.map((path) => ['cgroup', path] as const),
    ...description.readable.map(({ source, target }) => ['bind', twoParts(source, target ?? source)] as const),
    ...description.links.map(({ path, target }) => ['link', twoParts(target, path)] as const),
    ...description.devices.map((path) => ['device', path] as const),
    ...vmmRights(description),
    ...description.descriptors.map(describeDescriptor),
    ...(description.zygote === undefined ? [] : [['listen', description.zygote] as const, ['zygote', String(zygoteFd)] as const]),
    ...(description.copyOf === undefined ? [] : [['copy-of', twoParts(description.copyOf.zygote, String(description.copyOf.kept))] as const]),
    ['program', description.program],
    ...description.argv.map((argument) => ['argument', argument] as const),
  ];
  return Buffer.from(pairs.map(([key, value]) => `${key}\0${checked(value)}\0`).join(''));
}

function vmmRights({ processes, traces, idle, hugeHeap, keptHeap, copyable, consoleBefore, memory, ownDescriptors, mounted }: LaunchDescription): (readonly [string, string])[] {
  return [
    ...(processes === undefined ? [] : [['processes', String(processes)] as const]),
    ...(traces === true ? [['traces', ''] as const] : []),
    ...(idle === true ? [['idle', ''] as const] : []),
    ...(hugeHeap === true ? [['huge-heap', ''] as const] : []),
    ...(keptHeap === true ? [['kept-heap', ''] as const] : []),
    ...(copyable === true ? [['copyable', ''] as const] : []),
    ...(consoleBefore === undefined ? [] : [['console-before', consoleBefore] as const]),
    ...(ownDescriptors === undefined ? [] : [['own-fds', ownDescriptors] as const]),
    ...(memory === undefined ? [] : [['memory', twoParts(String(memory.bytes), memory.path)] as const]),
    ...(mounted === undefined ? [] : [['disks', mounted.folder] as const]),
    ...(mounted?.disks ?? []).map((disk) => [disk.readOnly ? 'mount-ro' : 'mount-rw', twoParts(disk.path, `${mounted?.folder}/${disk.name}`)] as const),
  ];
}

function describeDescriptor(one: VmmDescriptor): readonly [string, string] {
  if (one.kind === 'console' || one.kind === 'line' || one.kind === 'empty-state') return [one.kind, ''];
  if (one.kind === 'empty-memory') return [one.kind, String(one.bytes)];
  return [one.kind, 'path' in one ? one.path : one.name];
}

function twoParts(first: string, second: string): string {
  if (first.includes('\t') || second.includes('\t')) throw unfit(first);
  return `${first}\t${second}`;
}

function checked(value: string): string {
  if (value.includes('\0')) throw unfit(value);
  return value;
}

function unfit(value: string): StrataError {
  return new StrataError(`${JSON.stringify(value)} cannot be given to the launcher`, { code: 'machine.badArgument', kind: 'invalid' });
}
