/** Makes image archives for tests: `docker save` and OCI layout, each as a tar. */
import { createHash } from 'node:crypto';
import { file, tarOf, type Piece } from './make-tar.ts';

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface MadeLayer { readonly bytes: Buffer; readonly diffId: string; readonly mediaType: string }

/** A layer from its tar; `packed` is what is stored where that differs. */
export function layerOf(tar: Buffer, packed: Buffer = tar, mediaType = 'application/vnd.oci.image.layer.v1.tar'): MadeLayer {
  return { bytes: packed, diffId: digestOf(tar), mediaType };
}

export function configOf(layers: readonly MadeLayer[], fields: { readonly architecture?: string; readonly os?: string; readonly variant?: string; readonly config?: unknown } = {}): Buffer {
  return Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', config: { Cmd: ['/bin/true'] }, ...fields, rootfs: { type: 'layers', diff_ids: layers.map((one) => one.diffId) }, history: [] }));
}

export interface SavedParts { readonly config?: Buffer; readonly configName?: string; readonly layerNames?: readonly string[]; readonly tags?: readonly string[]; readonly more?: readonly Piece[] }

/** As `docker save` writes it. */
export function savedArchive(layers: readonly MadeLayer[], parts: SavedParts = {}): Buffer {
  const config = parts.config ?? configOf(layers);
  const configName = parts.configName ?? `${digestOf(config).slice(7)}.json`;
  const names = parts.layerNames ?? layers.map((_, at) => `l${at}/layer.tar`);
  const manifest = JSON.stringify([{ Config: configName, RepoTags: parts.tags ?? ['test/image:1'], Layers: names }]);
  return tarOf(file(configName, config), ...layers.map((one, at) => file(`l${at}/layer.tar`, one.bytes)), file('manifest.json', manifest), ...(parts.more ?? []));
}

export interface Blob { readonly bytes: Buffer; readonly mediaType: string }
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
export const indexType = 'application/vnd.oci.image.index.v1+json';

export const descriptorOf = (blob: Blob, more: object = {}) => ({ mediaType: blob.mediaType, digest: digestOf(blob.bytes), size: blob.bytes.length, ...more });

/** Manifest, config and layers of one image as blobs; the manifest comes first. */
export function imageBlobs(layers: readonly MadeLayer[], config: Buffer = configOf(layers), change: object = {}): Blob[] {
  const configBlob = { bytes: config, mediaType: 'application/vnd.oci.image.config.v1+json' };
  const manifest = { schemaVersion: 2, mediaType: manifestType, config: descriptorOf(configBlob), layers: layers.map((one) => descriptorOf(one)), ...change };
  return [{ bytes: Buffer.from(JSON.stringify(manifest)), mediaType: manifestType }, configBlob, ...layers];
}

export const indexOf = (manifests: readonly object[], more: object = {}): Blob => ({ mediaType: indexType, bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests, ...more })) });

/** An OCI layout with this index.json and these blobs, as a tar. */
export function layoutArchive(index: Buffer, blobs: readonly Blob[], more: readonly Piece[] = []): Buffer {
  const distinct = new Map(blobs.map((one) => [digestOf(one.bytes), one.bytes]));
  return tarOf(file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'), file('index.json', index), ...[...distinct].map(([digest, bytes]) => file(`blobs/${digest.replace(':', '/')}`, bytes)), ...more);
}
