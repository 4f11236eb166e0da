/**
 * A YAML document as a tree whose every part knows where it stands, so that an error found after
 * interpolation, merging and extending still names the line the user wrote. Trees are never changed.
 */
import type { Place } from '#base';

/** A file, and the folder from which relative paths in it start. */
export interface SourceFile {
  readonly path: string;
  readonly baseDir: string;
}

export interface TreePlace extends Place {
  readonly source: SourceFile;
}

/** `!reset`: take away what is below; `!override`: replace instead of merging. */
export type MergeTag = 'reset' | 'override';

interface Common {
  readonly place: TreePlace;
  readonly tag?: MergeTag;
  /** Number of nodes in it, aliases expanded. */
  readonly weight: number;
}
export interface ScalarNode extends Common {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  /** Something about it has been reported already; nothing more need be said. */
  readonly broken?: true;
}
export interface ListNode extends Common {
  readonly kind: 'list';
  readonly items: readonly TreeNode[];
}
export interface MapNode extends Common {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, MapEntry>;
}
export interface MapEntry {
  readonly key: TreePlace;
  readonly value: TreeNode;
}
export type TreeNode = ScalarNode | ListNode | MapNode;
export type TreePath = readonly (string | number)[];

export function scalar(value: ScalarNode['value'], place: TreePlace): ScalarNode {
  return { kind: 'scalar', value, place, weight: 1 };
}

export function list(items: readonly TreeNode[], place: TreePlace, tag?: MergeTag): ListNode {
  return { kind: 'list', items, place, weight: 1 + weigh(items), ...(tag === undefined ? {} : { tag }) };
}

export function map(entries: ReadonlyMap<string, MapEntry>, place: TreePlace, tag?: MergeTag): MapNode {
  return { kind: 'map', entries, place, weight: 1 + weigh([...entries.values()].map((entry) => entry.value)), ...(tag === undefined ? {} : { tag }) };
}

function weigh(nodes: readonly TreeNode[]): number {
  return nodes.reduce((sum, node) => sum + node.weight, 0);
}

/** The plain value of a tree. Objects have no prototype's keys to fall into: `__proto__` is refused when read. */
export function plain(node: TreeNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plain);
  return Object.fromEntries([...node.entries].map(([key, entry]) => [key, plain(entry.value)]));
}

/** The child under a key or index. */
export function child(node: TreeNode | undefined, step: string | number): TreeNode | undefined {
  if (node?.kind === 'map') return node.entries.get(String(step))?.value;
  if (node?.kind === 'list' && typeof step === 'number') return node.items[step];
  return undefined;
}

/** The node at a path, or the deepest one that exists on the way. */
export function nearest(node: TreeNode, path: TreePath): TreeNode {
  let here = node;
  for (const step of path) {
    const next = child(here, step);
    if (next === undefined) return here;
    here = next;
  }
  return here;
}

/** Place of a key (not of its value); of the deepest part that exists where there is no such key. */
export function keyPlace(node: TreeNode, path: TreePath): TreePlace {
  const parent = nearest(node, path.slice(0, -1));
  const last = path.at(-1);
  if (parent.kind === 'map' && last !== undefined) {
    const entry = parent.entries.get(String(last));
    if (entry !== undefined) return entry.key;
  }
  return nearest(node, path).place;
}

/** The tree with one part of it set. */
export function withEntry(node: MapNode, key: string, entry: MapEntry): MapNode {
  return map(new Map(node.entries).set(key, entry), node.place, node.tag);
}

export function withoutEntry(node: MapNode, ...keys: readonly string[]): MapNode {
  return map(new Map([...node.entries].filter(([key]) => !keys.includes(key))), node.place, node.tag);
}
