/** Images of an OCI image layout (image-spec image-layout.md): index, nested indexes, manifests, configs. */
import { createHash } from 'node:crypto';
import { imageRefused } from '../flatten/layer.ts';
import { readWhole, type ArchiveFiles } from './archive-files.ts';
import { pairLayers, type FoundImage } from './found-image.ts';
import { configSchema, digestOfBytes, indexSchema, manifestSchema, maxDocumentBytes, mediaTypes, parseDocument, type Descriptor } from './oci-documents.ts';
import { architectureOf, platformText } from './read-config.ts';

export const blobName = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

export interface LayoutResult {
  readonly images: readonly FoundImage[];
  /** Platforms that were there but are not ours. */
  readonly others: readonly string[];
}

const maxDepth = 4;

export async function readLayout(files: ArchiveFiles, image: string, signal?: AbortSignal): Promise<LayoutResult> {
  const index = parseDocument(indexSchema, await readWhole(files, 'index.json', image, maxDocumentBytes), image, 'index.json');
  const images: FoundImage[] = [];
  const others: string[] = [];
  const visit = async (descriptor: Descriptor, references: readonly string[], depth: number): Promise<void> => {
    signal?.throwIfAborted();
    if (depth > maxDepth) throw imageRefused({ image }, `its indexes lie deeper than ${maxDepth}`);
    if (isAttestation(descriptor)) return;
    const named = [...references, ...referencesOf(descriptor)];
    if ((mediaTypes.indexes as readonly string[]).includes(descriptor.mediaType)) {
      const nested = parseDocument(indexSchema, await readBlob(files, descriptor, image), image, `index ${descriptor.digest.slice(0, 19)}`);
      for (const one of nested.manifests) await visit(one, named, depth + 1);
    } else if ((mediaTypes.manifests as readonly string[]).includes(descriptor.mediaType)) {
      const found = await readManifest(files, descriptor, image, named);
      if (typeof found === 'string') others.push(found);
      else images.push(found);
    } else throw imageRefused({ image }, `${descriptor.mediaType} is no kind of manifest that Strata can read`);
  };
  for (const descriptor of index.manifests) await visit(descriptor, [], 0);
  return { images: withoutDoubles(images), others };
}

/** What BuildKit puts beside an image: provenance, no image. */
function isAttestation(descriptor: Descriptor): boolean {
  return descriptor.annotations?.['vnd.docker.reference.type'] === 'attestation-manifest';
}

/** containerd writes the whole name, others a whole name or a tag alone; a tag alone names nothing. */
function referencesOf({ annotations }: Descriptor): string[] {
  const whole = annotations?.['io.containerd.image.name'];
  const name = annotations?.['org.opencontainers.image.ref.name'];
  return whole !== undefined ? [whole] : name !== undefined && /[/:]/.test(name) ? [name] : [];
}

async function readManifest(files: ArchiveFiles, descriptor: Descriptor, image: string, references: readonly string[]): Promise<FoundImage | string> {
  const what = `manifest ${descriptor.digest.slice(0, 19)}`;
  const manifest = parseDocument(manifestSchema, await readBlob(files, descriptor, image), image, what);
  if (manifest.mediaType !== undefined && manifest.mediaType !== null && manifest.mediaType !== descriptor.mediaType) throw imageRefused({ image, layer: what }, `it calls itself ${manifest.mediaType}, but its index calls it ${descriptor.mediaType}`);
  const config = parseDocument(configSchema, await readBlob(files, manifest.config, image), image, `config ${manifest.config.digest.slice(0, 19)}`);
  const architecture = architectureOf(config);
  if (architecture === undefined) return platformText(config);
  for (const layer of manifest.layers) await verifyBlob(files, layer, image);
  const layers = pairLayers(image, config, manifest.layers.map((one) => ({ digest: one.digest, open: () => files.read(blobName(one.digest)) })));
  return { digest: manifest.config.digest, architecture, config, layers, references };
}

async function readBlob(files: ArchiveFiles, { digest, size }: Descriptor, image: string): Promise<Buffer> {
  const bytes = await readWhole(files, blobName(digest), image, maxDocumentBytes);
  if (bytes.length !== size) throw imageRefused({ image, entry: blobName(digest) }, `it has ${bytes.length} bytes, not the ${size} its descriptor says`);
  if (digestOfBytes(bytes) !== digest) throw imageRefused({ image, entry: blobName(digest) }, 'its content has another digest than its name');
  return bytes;
}

async function verifyBlob(files: ArchiveFiles, { digest, size }: Descriptor, image: string): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of files.read(blobName(digest))) {
    bytes += chunk.length;
    if (bytes > size) break;
    hash.update(chunk);
  }
  if (bytes !== size) throw imageRefused({ image, entry: blobName(digest) }, `it does not have the ${size} bytes its descriptor says`);
  if (`sha256:${hash.digest('hex')}` !== digest) throw imageRefused({ image, entry: blobName(digest) }, 'its content has another digest than its name');
}

function withoutDoubles(images: readonly FoundImage[]): FoundImage[] {
  const byDigest = new Map<string, FoundImage>();
  for (const one of images) byDigest.set(one.digest, { ...one, references: [...new Set([...(byDigest.get(one.digest)?.references ?? []), ...one.references])] });
  return [...byDigest.values()];
}
