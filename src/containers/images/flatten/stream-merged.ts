/**
 * Second pass: the one tar that all layers make together. Folders first, then what has no content, both
 * in byte order, then files in the order of their layers, so that each layer is read once from front to back.
 */
import { tarEnd, tarHeader, tarPadding } from '../tar/write-tar.ts';
import { tarEntry } from '../tar/tar-entry.ts';
import { imageRefused, type Layer } from './layer.ts';
import { nodesOf, type Inode, type Node } from './merged-tree.ts';

/** @throws StrataError `image.refused` where a layer is no longer what it was in the first pass */
export async function* streamMerged(image: string, layers: readonly Layer[], root: Node, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const names = new Map<Inode, string[]>();
  const plain: Buffer[] = [];
  for (const { path, node } of nodesOf(root)) {
    const { entry } = node.inode;
    if (entry.type === 'directory') yield tarHeader({ ...entry, path });
    else if (entry.type === 'file') (names.get(node.inode) ?? names.set(node.inode, []).get(node.inode) as string[]).push(path);
    else plain.push(tarHeader({ ...entry, path }));
  }
  yield* plain;
  for (const [at, layer] of layers.entries()) {
    const wanted = new Map([...names.keys()].filter((inode) => inode.layer === at).map((inode) => [inode.ordinal, inode]));
    if (wanted.size > 0) yield* filesOf(image, layer, wanted, names, signal);
  }
  yield tarEnd;
}

async function* filesOf(image: string, layer: Layer, wanted: Map<number, Inode>, names: ReadonlyMap<Inode, readonly string[]>, signal?: AbortSignal): AsyncGenerator<Buffer> {
  let ordinal = -1;
  for await (const item of layer.items()) {
    ordinal += 1;
    const inode = wanted.get(ordinal);
    if (inode === undefined) continue;
    signal?.throwIfAborted();
    if (item.entry.path !== inode.entry.path || item.entry.size !== inode.entry.size) throw imageRefused({ image, layer: layer.name, entry: inode.entry.path }, 'the layer changed while it was read');
    const [first, ...others] = names.get(inode) as [string, ...string[]];
    yield tarHeader({ ...inode.entry, path: first });
    yield* item.content();
    yield tarPadding(inode.entry.size);
    for (const path of others) yield tarHeader(tarEntry({ ...inode.entry, path, type: 'hardlink', size: 0, linkTarget: first }));
    wanted.delete(ordinal);
  }
  // Read to the end, so that the layer's own digest is checked this time too.
  if (wanted.size > 0) throw imageRefused({ image, layer: layer.name }, 'the layer changed while it was read');
}
