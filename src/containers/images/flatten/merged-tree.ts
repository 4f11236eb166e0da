/**
 * The tree that layers make together, in memory: names and metadata, no content. Symlinks are only ever
 * names here; nothing touches a file system, so nothing can be tricked out of the root.
 */
import { TarProblem } from '../tar/read-header.ts';
import { tarEntry, type TarEntry } from '../tar/tar-entry.ts';

/** What a name stands for; hard links share one. */
export interface Inode {
  readonly entry: TarEntry;
  readonly layer: number;
  /** Position among the layer's entries: where pass two finds the content. */
  readonly ordinal: number;
}

export interface Node { inode: Inode; children: Map<string, Node> | undefined }

export function emptyTree(): Node {
  return { inode: implied(), children: new Map() };
}

/** A folder that no layer names. */
function implied(): Inode {
  return { entry: tarEntry({ path: '', type: 'directory' }), layer: -1, ordinal: -1 };
}

export function nodeAt(root: Node, segments: readonly string[]): Node | undefined {
  let node: Node | undefined = root;
  for (const segment of segments) node = node?.children?.get(segment);
  return node;
}

/**
 * The folder that holds `segments`' last part, made where missing.
 * @throws TarProblem where the way leads through a symlink (unless it is to be followed) or a file
 */
export function parentOf(root: Node, segments: readonly string[], path: string, follow: boolean): Node {
  return walk(root, follow ? resolveLinks(root, segments.slice(0, -1), path) : segments.slice(0, -1), path);
}

function walk(root: Node, segments: readonly string[], path: string): Node {
  let node = root;
  for (const segment of segments) {
    const children = node.children as Map<string, Node>;
    let next = children.get(segment);
    if (next === undefined) children.set(segment, next = { inode: implied(), children: new Map() });
    if (next.children === undefined) {
      const kind = next.inode.entry.type === 'symlink' ? 'a symlink' : 'no directory';
      throw new TarProblem(`the way to it leads through "${segment}", which is ${kind}`, path);
    }
    node = next;
  }
  return node;
}

const maxHops = 40;

/** Segments without symlinks, resolved inside the root as a chroot would. */
export function resolveLinks(root: Node, segments: readonly string[], path: string): string[] {
  let pending = [...segments];
  let done: string[] = [];
  let hops = 0;
  while (pending.length > 0) {
    const [segment, ...rest] = pending as [string, ...string[]];
    pending = rest;
    if (segment === '' || segment === '.') continue;
    if (segment === '..') { done.pop(); continue; }
    const node = nodeAt(root, [...done, segment]);
    if (node?.inode.entry.type !== 'symlink') { done.push(segment); continue; }
    if ((hops += 1) > maxHops) throw new TarProblem('too many symlinks on the way to it', path);
    const target = node.inode.entry.linkTarget;
    if (target.startsWith('/')) done = [];
    pending = [...target.split('/'), ...pending];
  }
  return done;
}

/** Depth first, parents before children, names in byte order. */
export function* nodesOf(root: Node): Generator<{ readonly path: string; readonly node: Node }> {
  const stack: { path: string; node: Node }[] = [{ path: '', node: root }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { path, node } = top;
    if (path !== '') yield top;
    const names = [...(node.children?.keys() ?? [])].sort().reverse();
    for (const name of names) stack.push({ path: path === '' ? name : `${path}/${name}`, node: node.children?.get(name) as Node });
  }
}
