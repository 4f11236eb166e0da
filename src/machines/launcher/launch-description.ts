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
  readonly program: string;
  readonly argv: readonly string[];
}

export type VmmDescriptor =
  | { readonly kind: 'listen'; readonly name: string } // a listening UNIX socket of this name in the machine's folder
  | { readonly kind: 'console' }
  | { readonly kind: 'tap'; readonly name: string }
  | { readonly kind: 'disk-ro' | 'disk-rw'; readonly path: string };

export const firstDescriptor = 3;

export function encodeLaunchDescription(description: LaunchDescription): Buffer {
  const pairs: (readonly [string, string])[] = [
    ['uid', String(description.uid)],
    ['gid', String(description.uid)],
    ...description.cgroups.map((path) => ['cgroup', path] as const),
    ...description.readable.map(({ source, target }) => ['bind', twoParts(source, target ?? source)] as const),
    ...description.links.map(({ path, target }) => ['link', twoParts(target, path)] as const),
    ...description.devices.map((path) => ['device', path] as const),
    ...description.descriptors.map(describeDescriptor),
    ['program', description.program],
    ...description.argv.map((argument) => ['argument', argument] as const),
  ];
  return Buffer.from(pairs.map(([key, value]) => `${key}\0${checked(value)}\0`).join(''));
}

function describeDescriptor(one: VmmDescriptor): readonly [string, string] {
  if (one.kind === 'console') return ['console', ''];
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
