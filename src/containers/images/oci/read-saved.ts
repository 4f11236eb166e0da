/** Images of a `docker save` archive: manifest.json names configs, layers and tags. */
import { imageRefused } from '../flatten/layer.ts';
import { readWhole, type ArchiveFiles } from './archive-files.ts';
import { pairLayers, type FoundImage } from './found-image.ts';
import { configSchema, digestOfBytes, maxDocumentBytes, parseDocument, savedSchema } from './oci-documents.ts';
import { architectureOf, platformText } from './read-config.ts';
import type { LayoutResult } from './read-layout.ts';

export async function readSaved(files: ArchiveFiles, image: string): Promise<LayoutResult> {
  const saved = parseDocument(savedSchema, await readWhole(files, 'manifest.json', image, maxDocumentBytes), image, 'manifest.json');
  const images: FoundImage[] = [];
  const others: string[] = [];
  for (const { Config, RepoTags, Layers } of saved) {
    const bytes = await readWhole(files, Config, image, maxDocumentBytes);
    const digest = digestOfBytes(bytes);
    // docker save names the config by its digest, crane and kaniko as sha256:…, others call it config.json.
    const promised = /(?:^|[/:])([0-9a-f]{64})(?:\.json)?$/.exec(Config)?.[1];
    if (promised !== undefined && digest !== `sha256:${promised}`) throw imageRefused({ image, entry: Config }, 'the config has another digest than its name');
    const config = parseDocument(configSchema, bytes, image, Config);
    const architecture = architectureOf(config);
    if (architecture === undefined) { others.push(platformText(config)); continue; }
    // The layers' digests are the config's diff_ids, checked while they are read.
    const layers = pairLayers(image, config, Layers.map((name) => ({ digest: name, open: () => files.read(name) })));
    images.push({ digest, architecture, config, layers, references: RepoTags ?? [] });
  }
  return { images, others };
}

/** Tags that manifest.json gives to images of the layout in the same archive. Both must speak of the same images. */
export async function savedTags(files: ArchiveFiles, image: string, layout: LayoutResult): Promise<LayoutResult> {
  const saved = parseDocument(savedSchema, await readWhole(files, 'manifest.json', image, maxDocumentBytes), image, 'manifest.json');
  const tags = new Map<string, string[]>();
  for (const { Config, RepoTags } of saved) {
    const digest = `sha256:${/([0-9a-f]{64})(?:\.json)?$/.exec(Config)?.[1] ?? ''}`;
    if (layout.others.length === 0 && !layout.images.some((one) => one.digest === digest)) throw imageRefused({ image }, 'its index.json and its manifest.json speak of different images');
    tags.set(digest, [...(tags.get(digest) ?? []), ...(RepoTags ?? [])]);
  }
  return { ...layout, images: layout.images.map((one) => ({ ...one, references: [...new Set([...one.references, ...(tags.get(one.digest) ?? [])])] })) };
}
