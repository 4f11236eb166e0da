/** What an archive holds for us: one image for each platform, with the references it shall have. */
import { StrataError } from '#base';
import { imageRefused } from '../flatten/layer.ts';
import { normalReference } from '../reference.ts';
import { openArchive, type ArchiveFiles } from './archive-files.ts';
import type { FoundImage } from './found-image.ts';
import { readLayout, type LayoutResult } from './read-layout.ts';
import { readSaved, savedTags } from './read-saved.ts';

export interface ArchiveWish {
  readonly path: string;
  readonly reference?: string;
  /** Name of a file that may be written for the time of the import. */
  readonly temporary: string;
  readonly signal?: AbortSignal;
}

/** Opens the archive, calls `use` with what it holds, and closes it. @throws StrataError `image.refused`, `image.noPlatform` */
export async function withArchive<T>(wish: ArchiveWish, use: (images: readonly (FoundImage & { readonly normal: readonly string[] })[]) => Promise<T>): Promise<T> {
  const files = await openArchive(wish.path, wish.temporary, wish.signal);
  try {
    const { images, others } = await readAll(files, wish);
    if (images.length === 0) throw noPlatform(wish.path, others);
    return await use(named(images, wish));
  } finally { await files.close(); }
}

export function noPlatform(image: string, others: readonly string[]): StrataError {
  const there = others.length === 0 ? 'it holds no image at all' : `it has ${[...new Set(others)].join(', ')}`;
  return new StrataError(`image ${image} is not there for linux/amd64 or linux/arm64: ${there}`, { code: 'image.noPlatform', kind: 'notFound', advice: 'name a platform that exists with `platform:`', details: { platforms: others } });
}

async function readAll(files: ArchiveFiles, { path, signal }: ArchiveWish): Promise<LayoutResult> {
  const layout = await files.has('index.json');
  const saved = await files.has('manifest.json');
  if (layout) {
    const found = await readLayout(files, path, signal);
    return saved ? savedTags(files, path, found) : found;
  }
  if (saved) return readSaved(files, path);
  throw imageRefused({ image: path }, 'it holds neither index.json (OCI layout) nor manifest.json (docker save)');
}

function named(images: readonly FoundImage[], { path, reference }: ArchiveWish): (FoundImage & { normal: readonly string[] })[] {
  if (reference === undefined) {
    return images.map((one) => ({ ...one, normal: one.references.map((text) => referenceIn(path, text)) }));
  }
  const normal = normalReference(reference);
  if (new Set(images.map((one) => one.architecture)).size !== images.length) {
    throw new StrataError(`${path} holds several images of one platform; they cannot all be called ${reference}`, { code: 'image.ambiguous', kind: 'conflict', advice: 'import it without a name of your own; the archive\'s names are kept' });
  }
  return images.map((one) => ({ ...one, normal: [normal] }));
}

function referenceIn(path: string, text: string): string {
  try {
    return normalReference(text);
  } catch (cause) { throw imageRefused({ image: path }, `it calls an image ${JSON.stringify(text.slice(0, 80))}, which is no reference`, cause); }
}
