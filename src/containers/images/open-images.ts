/** Opens the images of an instance: records in the store, squashfs files in the state folder. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture, Clock, Instance, Log } from '#base';
import type { Store } from '#store';
import { buildDebian, debianNote, planDebian } from './debian/build-debian.ts';
import { recipeConfig } from './debian/recipe-config.ts';
import { takeTurns } from './take-turns.ts';
import { flattenLayers } from './flatten/flatten-layers.ts';
import type { Image, Images } from './image.ts';
import { blobsFolder, debianFolder, imagesFolder, removeLeftovers, squashfsName, temporaryName } from './image-files.ts';
import { findImage, listImages, removeImage, tagImage } from './image-index.ts';
import { imageRecords, recordId, type ImageRecord } from './image-record.ts';
import { flattenFound } from './keep-found-image.ts';
import type { FoundImage } from './oci/found-image.ts';
import { withArchive } from './oci/import-archive.ts';
import { formatReference, normalReference, parseReference } from './reference.ts';
import { openBlobCache } from './registry/blob-cache.ts';
import type { Environment } from './registry/credentials.ts';
import { pullImage } from './registry/pull-image.ts';
import { openRegistry } from './registry/registry-client.ts';

export interface ImagesDeps {
  readonly instance: Instance;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Where credentials are looked for (DOCKER_CONFIG, REGISTRY_AUTH_FILE, HOME); default: the process's own. */
  readonly environment?: Environment;
}

export interface OpenedImages extends Images {
  /** Removes fetched layers that are no longer needed. @returns bytes that are free now */
  prune(): Promise<number>;
}

/** Fetched layers stay this long, for images that share them. */
const blobsMaxAgeMs = 7 * 24 * 3600_000;

export function openImages({ instance, store, clock, log, environment = process.env }: ImagesDeps): OpenedImages {
  const records = imageRecords(store);
  const blobs = openBlobCache(blobsFolder(instance));
  const pathOf = (digest: string, architecture: Architecture) => join(imagesFolder(instance), squashfsName(digest, architecture));
  let prepared: Promise<void> | undefined;
  const prepare = () => (prepared ??= prepareFolders().catch((thrown: unknown) => { prepared = undefined; throw thrown; }));

  /** What a crash left is removed once, before anything is made. */
  async function prepareFolders(): Promise<void> {
    const work = join(debianFolder(instance), 'work');
    for (const folder of [imagesFolder(instance), blobsFolder(instance), work]) {
      await mkdir(folder, { recursive: true });
      await removeLeftovers(folder);
    }
    await removeUnrecorded();
    await blobs.prune(blobsMaxAgeMs);
  }

  /** A crash between a file's appearing and its record's leaves a file that nobody knows. */
  async function removeUnrecorded(): Promise<void> {
    const known = new Set((await records.images.list()).map((one) => squashfsName(one.value.digest, one.value.architecture)));
    for (const name of await readdir(imagesFolder(instance))) {
      if (!name.endsWith('.squashfs') || known.has(name)) continue;
      log.info({ name }, 'removing an image file without a record');
      await rm(join(imagesFolder(instance), name), { force: true });
    }
  }

  /** Makes the image unless it is there, then names it. One after the other for one image. */
  async function ensure(digest: string, architecture: Architecture, references: readonly string[], make: () => Promise<ImageRecord>): Promise<Image> {
    return takeTurns(`image ${pathOf(digest, architecture)}`, async () => {
      const record = (await records.images.get(recordId(digest, architecture)))?.value;
      const there = record !== undefined && (await stat(pathOf(digest, architecture)).then((one) => one.size === record.size, () => false));
      const image = there ? record : await make();
      if (!there) await records.images.put(recordId(digest, architecture), image);
      for (const reference of references) await tagImage(records, reference, image);
      return image;
    });
  }

  const ensureFound = (found: FoundImage, references: readonly string[], name: string, origin: string, signal: AbortSignal | undefined) =>
    ensure(found.digest, found.architecture, references, () => flattenFound(found, { name, path: pathOf(found.digest, found.architecture), origin, now: clock.now(), signal }));

  return {
    async importArchive(path, { reference, signal, progress }) {
      await prepare();
      const temporary = await temporaryName(join(blobsFolder(instance), 'archive'));
      const wish = { path, temporary, ...(reference === undefined ? {} : { reference }), ...(signal === undefined ? {} : { signal }) };
      const origin = existsSync(join(path, 'index.json')) ? 'layout' : 'archive';
      return withArchive(wish, async (found) => {
        const images: Image[] = [];
        for (const one of found) {
          progress?.({ what: 'flattening', done: images.length, total: found.length });
          images.push(await ensureFound(one, one.normal, reference ?? path, origin, signal));
        }
        return images;
      });
    },
    async pull(text, { architecture, signal, progress }) {
      const reference = parseReference(text);
      await prepare();
      const found = await pullImage({ reference, architecture, client: openRegistry(reference, environment), blobs, signal, progress });
      progress?.({ what: 'flattening' });
      return ensureFound(found, [formatReference(reference)], text, 'registry', signal);
    },
    async buildDebian(recipe, options) {
      const reference = normalReference(options.reference);
      await prepare();
      const { architecture, signal } = options;
      const wish = { recipe, folder: debianFolder(instance), ...options };
      const plan = await planDebian(wish);
      return ensure(plan.digest, architecture, [reference], async () => {
        const path = pathOf(plan.digest, architecture);
        let size = 0;
        await buildDebian(wish, plan, async (layers) => {
          size = await flattenLayers(layers, { image: options.reference, path, temporary: await temporaryName(path), ...(signal === undefined ? {} : { signal }) });
        });
        return { digest: plan.digest, architecture, config: recipeConfig(recipe), size, createdAt: clock.now(), origin: 'debian', note: debianNote(architecture) };
      });
    },
    find: (name, architecture) => findImage(records, name, architecture),
    list: () => listImages(records),
    remove: (name, { usersOf }) => removeImage(records, name, usersOf, pathOf),
    squashfsPath: (image) => pathOf(image.digest, image.architecture),
    prune: () => blobs.prune(0),
  };
}
