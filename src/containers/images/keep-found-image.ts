/** From an image found elsewhere an image of ours: flattened, recorded, named. */
import { flattenLayers } from './flatten/flatten-layers.ts';
import { temporaryName } from './image-files.ts';
import type { ImageRecord } from './image-record.ts';
import type { FoundImage } from './oci/found-image.ts';
import { ociLayer } from './oci/oci-layer.ts';
import { imageConfigOf } from './oci/read-config.ts';

export interface KeepOptions {
  /** How errors call it. */
  readonly name: string;
  readonly path: string;
  readonly origin: string;
  readonly now: number;
  readonly signal?: AbortSignal | undefined;
}

export async function flattenFound(found: FoundImage, { name, path, origin, now, signal }: KeepOptions): Promise<ImageRecord> {
  const layers = found.layers.map((one) => ociLayer(name, { ...one, open: () => untilAborted(one.open(), signal) }));
  const size = await flattenLayers(layers, { image: name, path, temporary: await temporaryName(path), ...(signal === undefined ? {} : { signal }) });
  return { digest: found.digest, architecture: found.architecture, config: imageConfigOf(found.config), size, createdAt: now, origin, note: '' };
}

/** Asks at each chunk, so that also a layer of one huge file can be cancelled. */
async function* untilAborted(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    signal?.throwIfAborted();
    yield chunk;
  }
}
