/** Layers to one squashfs: index, then stream. Nothing of them is ever unpacked onto the host. */
import { indexLayers } from './index-layers.ts';
import { flattenLimits, type FlattenLimits, type Layer } from './layer.ts';
import { nodesOf, type Node } from './merged-tree.ts';
import { streamMerged } from './stream-merged.ts';
import { writeSquashfs } from './write-squashfs.ts';

export interface FlattenOptions {
  /** How errors call the image. */
  readonly image: string;
  readonly path: string;
  readonly temporary: string;
  readonly limits?: FlattenLimits;
  readonly signal?: AbortSignal;
}

/** @returns bytes of the squashfs. @throws StrataError `image.refused`, `image.squashfs`, `image.diskFull` */
export async function flattenLayers(layers: readonly Layer[], { image, path, temporary, limits, signal }: FlattenOptions): Promise<number> {
  const root = await indexLayers(image, layers, limits ?? flattenLimits, signal);
  const { mode, uid, gid } = root.inode.entry;
  const tar = streamMerged(image, layers, root, signal);
  return writeSquashfs({ path, temporary, tar, rootMode: mode, rootOwner: { uid, gid }, newest: newestOf(root), ...(signal === undefined ? {} : { signal }) });
}

function newestOf(root: Node): number {
  let newest = 0;
  for (const { node } of nodesOf(root)) newest = Math.max(newest, node.inode.entry.mtime);
  return newest;
}
