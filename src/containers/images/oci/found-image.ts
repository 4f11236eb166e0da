/** An image as it was found somewhere, before it is Strata's: its config, and its layers to be read. */
import type { Architecture } from '#base';
import { imageRefused } from '../flatten/layer.ts';
import type { OciConfig } from './oci-documents.ts';
import type { OciLayer } from './oci-layer.ts';

export interface FoundImage {
  /** Digest of the config: the image's identity. */
  readonly digest: string;
  readonly architecture: Architecture;
  readonly config: OciConfig;
  readonly layers: readonly OciLayer[];
  /** As the archive writes them. */
  readonly references: readonly string[];
}

/** Pairs what the config promises with what there is. @throws StrataError `image.refused` */
export function pairLayers(image: string, config: OciConfig, layers: readonly { readonly digest: string; open(): AsyncIterable<Uint8Array> }[]): OciLayer[] {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== layers.length) throw imageRefused({ image }, `its config promises ${diffIds.length} layers, but its manifest has ${layers.length}`);
  return layers.map(({ digest, open }, at) => ({ name: `layer ${at + 1} of ${layers.length} (${digest.slice(0, 19)})`, diffId: diffIds[at] as string, open }));
}
