/** First pass: reads the names of all layers, in order, and makes the tree they give together. */
import { TarProblem } from '../tar/read-header.ts';
import type { TarEntry } from '../tar/tar-entry.ts';
import { segmentsOf } from './entry-path.ts';
import { imageRefused, type FlattenLimits, type Layer } from './layer.ts';
import { emptyTree, nodeAt, parentOf, resolveLinks, type Node } from './merged-tree.ts';

interface Listed { readonly entry: TarEntry; readonly ordinal: number; readonly segments: readonly string[] }
interface Whiteout { readonly path: string; readonly segments: readonly string[]; readonly opaque: boolean }

/** @throws StrataError `image.refused` naming image, layer and entry */
export async function indexLayers(image: string, layers: readonly Layer[], limits: FlattenLimits, signal?: AbortSignal): Promise<Node> {
  const root = emptyTree();
  const budget = meter(limits);
  for (const [at, layer] of layers.entries()) {
    try {
      const { listed, whiteouts } = await listLayer(layer, budget, signal);
      // Whiteouts speak of the layers below only, wherever they stand in their own layer (image-spec layer.md).
      for (const whiteout of whiteouts) applyWhiteout(root, whiteout);
      for (const one of listed) addEntry(root, one, at, layer.followLinks === true);
    } catch (thrown) {
      throw thrown instanceof TarProblem ? imageRefused({ image, layer: layer.name, entry: thrown.entry }, thrown.message, thrown) : thrown;
    }
  }
  return root;
}

async function listLayer(layer: Layer, budget: (entry: TarEntry) => void, signal?: AbortSignal): Promise<{ listed: Listed[]; whiteouts: Whiteout[] }> {
  const listed: Listed[] = [];
  const whiteouts: Whiteout[] = [];
  let ordinal = -1;
  for await (const { entry } of layer.items()) {
    ordinal += 1;
    signal?.throwIfAborted();
    budget(entry);
    const segments = segmentsOf(entry.path);
    const name = segments.at(-1) ?? '';
    if (segments.slice(0, -1).some((part) => part.startsWith('.wh.'))) throw new TarProblem('it lies inside a whiteout', entry.path);
    if (name.startsWith('.wh.')) {
      const whiteout = whiteoutOf(entry.path, segments, name);
      if (whiteout !== undefined) whiteouts.push(whiteout);
    } else listed.push({ entry: checked(entry), ordinal, segments });
  }
  return { listed, whiteouts };
}

function whiteoutOf(path: string, segments: readonly string[], name: string): Whiteout | undefined {
  const folder = segments.slice(0, -1);
  if (name === '.wh..wh..opq') return { path, segments: folder, opaque: true };
  if (name.startsWith('.wh..wh.')) return undefined; // aufs' own bookkeeping, as Docker passes over it
  const target = name.slice('.wh.'.length);
  if (target === '' || target === '.' || target === '..') throw new TarProblem('the whiteout names nothing inside its folder', path);
  return { path, segments: [...folder, target], opaque: false };
}

const maxOwner = 2 ** 31 - 1;
const maxXattrBytes = 64 * 1024;
/** Attributes a container may need; the rest (overlay's, SELinux', ACLs) would steer the guest's kernel or means nothing there. */
const keptXattr = /^(user\.|security\.capability$)/;

function checked(entry: TarEntry): TarEntry {
  if (entry.uid > maxOwner || entry.gid > maxOwner) throw new TarProblem(`its owner ${entry.uid}:${entry.gid} is out of range (at most ${maxOwner})`, entry.path);
  if (entry.type === 'symlink' && entry.linkTarget === '') throw new TarProblem('a symlink without a target', entry.path);
  if (entry.deviceMajor > 0xfff || entry.deviceMinor > 0xfffff) throw new TarProblem('its device number is out of range', entry.path);
  const xattrs = new Map([...entry.xattrs].filter(([name]) => keptXattr.test(name)));
  for (const [name, value] of xattrs) {
    if (value.length > maxXattrBytes || name.length > 255) throw new TarProblem('an extended attribute is too large', entry.path);
  }
  // squashfs keeps seconds since 1970 in 32 bits.
  return { ...entry, xattrs, mtime: Math.min(Math.max(entry.mtime, 0), 2 ** 32 - 1) };
}

function meter(limits: FlattenLimits): (entry: TarEntry) => void {
  let entries = 0;
  let bytes = 0;
  let metaBytes = 0;
  return (entry) => {
    entries += 1;
    bytes += entry.size;
    metaBytes += entry.path.length + entry.linkTarget.length;
    for (const [name, value] of entry.xattrs) metaBytes += name.length + value.length;
    if (entries > limits.maxEntries) throw new TarProblem(`the image has more than ${limits.maxEntries} entries`, entry.path);
    if (bytes > limits.maxBytes) throw new TarProblem(`the image's files have more than ${limits.maxBytes} bytes`, entry.path);
    if (metaBytes > limits.maxMetaBytes) throw new TarProblem(`the image's names and attributes have more than ${limits.maxMetaBytes} bytes`, entry.path);
  };
}

function applyWhiteout(root: Node, { path, segments, opaque }: Whiteout): void {
  const folderSegments = opaque ? segments : segments.slice(0, -1);
  let folder: Node | undefined = root;
  for (const segment of folderSegments) {
    if (folder?.inode.entry.type === 'symlink') throw new TarProblem('the whiteout leads through a symlink', path);
    folder = folder?.children?.get(segment);
  }
  if (folder?.inode.entry.type === 'symlink') throw new TarProblem('the whiteout leads through a symlink', path);
  if (opaque) folder?.children?.clear();
  else folder?.children?.delete(segments.at(-1) as string);
}

function addEntry(root: Node, { entry, ordinal, segments }: Listed, layer: number, follow: boolean): void {
  if (segments.length === 0) {
    if (entry.type !== 'directory') throw new TarProblem('the root must be a directory', entry.path);
    root.inode = { entry, layer, ordinal };
    return;
  }
  const parent = parentOf(root, segments, entry.path, follow);
  const children = parent.children as Map<string, Node>;
  const name = segments.at(-1) as string;
  const before = children.get(name);
  if (entry.type === 'hardlink') {
    children.set(name, { inode: linkedNode(root, entry, follow).inode, children: undefined });
  } else if (entry.type !== 'directory') {
    children.set(name, { inode: { entry, layer, ordinal }, children: undefined });
  } else if (before?.children !== undefined) {
    before.inode = { entry, layer, ordinal };
  } else if (!(follow && before !== undefined && leadsToFolder(root, segments, entry.path))) {
    children.set(name, { inode: { entry, layer, ordinal }, children: new Map() });
  }
}

function linkedNode(root: Node, entry: TarEntry, follow: boolean): Node {
  const named = segmentsOf(entry.linkTarget, entry.path);
  const segments = follow ? [...resolveLinks(root, named.slice(0, -1), entry.path), ...named.slice(-1)] : named;
  const target = nodeAt(root, segments);
  if (target === undefined) throw new TarProblem('a hard link to a file that is not in the image', entry.path);
  if (target.children !== undefined) throw new TarProblem('a hard link to a directory', entry.path);
  return target;
}

function leadsToFolder(root: Node, segments: readonly string[], path: string): boolean {
  return nodeAt(root, resolveLinks(root, segments, path))?.children !== undefined;
}
