/** Brings an image from a registry: manifest for the platform, config, layers into the blob cache. */
import { setTimeout as wait } from 'node:timers/promises';
import { ociArchitecture, StrataError, type Architecture } from '#base';
import { imageRefused } from '../flatten/layer.ts';
import type { ImageProgress } from '../image.ts';
import { pairLayers, type FoundImage } from '../oci/found-image.ts';
import { configSchema, digestOfBytes, indexSchema, manifestSchema, maxDocumentBytes, mediaTypes, parseDocument, type Descriptor, type ImageManifest } from '../oci/oci-documents.ts';
import { architectureOf, platformText } from '../oci/read-config.ts';
import { formatReference, type Reference } from '../reference.ts';
import type { BlobCache } from './blob-cache.ts';
import { boundedBytes, type RegistryClient } from './registry-client.ts';

export interface PullWish {
  readonly reference: Reference;
  readonly architecture: Architecture;
  readonly client: RegistryClient;
  readonly blobs: BlobCache;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ImageProgress | undefined;
}

/** Layers fetched at once. */
const width = 3;
const accept = [...mediaTypes.indexes, ...mediaTypes.manifests].join(', ');

/** @throws StrataError `image.notFound`, `image.noPlatform`, `image.unauthorised`, `image.registryUnreachable`, `image.refused` */
export async function pullImage(wish: PullWish): Promise<FoundImage> {
  const image = formatReference(wish.reference);
  wish.progress?.({ what: 'asking the registry' });
  const manifest = await platformManifest(wish, image);
  const blobs: Descriptor[] = [manifest.config, ...manifest.layers];
  if (manifest.config.size > maxDocumentBytes) throw imageRefused({ image }, `its config is larger than ${maxDocumentBytes} bytes`);
  await fetchBlobs(wish, blobs, image);
  const parts: Buffer[] = [];
  for await (const part of wish.blobs.read(manifest.config.digest)) parts.push(part);
  const config = parseDocument(configSchema, Buffer.concat(parts), image, 'its config');
  if (architectureOf(config) !== wish.architecture) throw noSuchPlatform(image, wish.architecture, [platformText(config)]);
  const layers = pairLayers(image, config, manifest.layers.map(({ digest }) => ({ digest, open: () => wish.blobs.read(digest) })));
  return { digest: manifest.config.digest, architecture: wish.architecture, config, layers, references: [image] };
}

async function platformManifest(wish: PullWish, image: string): Promise<ImageManifest> {
  const { reference } = wish;
  let { bytes, mediaType } = await fetchManifest(wish, reference.digest ?? (reference.tag as string), image);
  if ((mediaTypes.indexes as readonly string[]).includes(mediaType)) {
    const index = parseDocument(indexSchema, bytes, image, 'its index');
    if (index.mediaType !== undefined && index.mediaType !== null && index.mediaType !== mediaType) throw imageRefused({ image }, `it calls itself ${index.mediaType}, but the registry calls it ${mediaType}`);
    const chosen = choosePlatform(index.manifests, wish.architecture, image);
    ({ bytes, mediaType } = await fetchManifest(wish, chosen.digest, image));
    if (mediaType !== chosen.mediaType) throw imageRefused({ image }, `its index calls a manifest ${chosen.mediaType}, but the registry calls it ${mediaType}`);
  }
  if (!(mediaTypes.manifests as readonly string[]).includes(mediaType)) throw imageRefused({ image }, `${mediaType} is no kind of manifest that Strata can read`);
  const manifest = parseDocument(manifestSchema, bytes, image, 'its manifest');
  if (manifest.mediaType !== undefined && manifest.mediaType !== null && manifest.mediaType !== mediaType) throw imageRefused({ image }, `it calls itself ${manifest.mediaType}, but the registry calls it ${mediaType}`);
  return manifest;
}

function choosePlatform(manifests: readonly Descriptor[], architecture: Architecture, image: string): Descriptor {
  const known = manifests.filter((one) => one.platform !== undefined && one.platform !== null && one.platform.os !== 'unknown');
  const fits = known.filter((one) => one.platform !== undefined && one.platform !== null && architectureOf(one.platform) === architecture);
  if (fits[0] === undefined) throw noSuchPlatform(image, architecture, known.map((one) => platformText(one.platform as NonNullable<Descriptor['platform']>)));
  return fits[0];
}

export function noSuchPlatform(image: string, architecture: Architecture, there: readonly string[]): StrataError {
  return new StrataError(`image ${image} is not there for linux/${ociArchitecture[architecture]}; it has ${[...new Set(there)].join(', ') || 'no platform at all'}`, {
    code: 'image.noPlatform', kind: 'notFound', advice: 'name a platform that exists with `platform:`', details: { platforms: there },
  });
}

async function fetchManifest(wish: PullWish, name: string, image: string): Promise<{ readonly bytes: Buffer; readonly mediaType: string }> {
  const answer = await again(() => wish.client.get(`manifests/${name}`, { accept, signal: wish.signal }), wish.signal);
  const bytes = await boundedBytes(answer, maxDocumentBytes);
  const digest = digestOfBytes(bytes);
  for (const promised of [name.startsWith('sha256:') ? name : null, answer.headers.get('docker-content-digest')]) {
    if (promised !== null && promised !== '' && promised !== digest) throw imageRefused({ image, layer: 'its manifest' }, `its content is ${digest.slice(0, 19)}…, not the ${promised.slice(0, 19)}… that was asked for`);
  }
  return { bytes, mediaType: (answer.headers.get('content-type') ?? '').split(';')[0]?.trim() ?? '' };
}

/** A registry that stumbles once is asked again. */
async function again<T>(ask: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try { return await ask(); } catch (thrown) {
      signal?.throwIfAborted();
      const status = thrown instanceof StrataError ? thrown.details?.['status'] : undefined;
      if (attempt === 3 || typeof status !== 'number') throw thrown;
      await wait(500 * attempt, undefined, signal === undefined ? {} : { signal });
    }
  }
}

async function fetchBlobs(wish: PullWish, blobs: readonly Descriptor[], image: string): Promise<void> {
  const distinct = [...new Map(blobs.map((one) => [one.digest, one])).values()];
  const total = distinct.reduce((sum, one) => sum + one.size, 0);
  let done = 0;
  const grown = (bytes: number) => { done += bytes; wish.progress?.({ what: 'fetching layers', done, total }); };
  const pending = [...distinct];
  const stop = new AbortController();
  const signal = wish.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, wish.signal]);
  const results = await Promise.allSettled(Array.from({ length: width }, async () => {
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
      await wish.blobs.ensure(wish.client, next, image, grown, signal).catch((thrown: unknown) => { stop.abort(thrown); throw thrown; });
    }
  }));
  wish.signal?.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  const failed = results.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
