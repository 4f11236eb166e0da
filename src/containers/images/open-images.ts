/** Opens the images of an instance: records in the store, squashfs files in the state folder. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { StrataError, type Architecture, type Clock, type Instance, type Log } from '#base';
import type { Store } from '#store';
import { buildDebian, debianNote, planDebian } from './debian/build-debian.ts';
import { recipeConfig } from './debian/recipe-config.ts';
import { takeTurns } from './debian/take-turns.ts';
import { flattenLayers } from './flatten/flatten-layers.ts';
import type { Image, Images } from './image.ts';
import { debianFolder, imagesFolder, removeLeftovers, squashfsName, temporaryName } from './image-files.ts';
import { imageRecords, type ImageRecord } from './image-record.ts';
import { findImage, listImages, removeImage, tagImage } from './image-index.ts';
import { normalReference } from './reference.ts';

export interface ImagesDeps {
  readonly instance: Instance;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

export function openImages({ instance, store, clock }: ImagesDeps): Images {
  const records = imageRecords(store);
  const folder = imagesFolder(instance);
  const pathOf = (digest: string, architecture: Architecture) => join(folder, squashfsName(digest, architecture));
  let prepared: Promise<void> | undefined;
  const prepare = () => (prepared ??= prepareFolders(instance).catch((thrown: unknown) => { prepared = undefined; throw thrown; }));
  const notYet = (what: string) => Promise.reject(new StrataError(`${what} is not built yet`, { code: 'image.notYet', kind: 'refused' }));

  return {
    async buildDebian(recipe, options) {
      const reference = normalReference(options.reference);
      await prepare();
      const wish = { recipe, folder: debianFolder(instance), ...options };
      const plan = await planDebian(wish);
      const image = await takeTurns(`image ${plan.digest}`, async () => {
        const there = await presentImage(plan.digest, options.architecture);
        if (there !== undefined) return there;
        const path = pathOf(plan.digest, options.architecture);
        let size = 0;
        await buildDebian(wish, plan, async (layers) => {
          size = await flattenLayers(layers, { image: options.reference, path, temporary: await temporaryName(path), ...(options.signal === undefined ? {} : { signal: options.signal }) });
        });
        return keep({ digest: plan.digest, architecture: options.architecture, config: recipeConfig(recipe) as ImageRecord['config'], size, createdAt: clock.now(), origin: 'debian', note: debianNote(options.architecture) });
      });
      await tagImage(records, reference, image);
      return image;
    },
    importArchive: () => notYet('import of an archive'),
    pull: () => notYet('pull from a registry'),
    find: (name, architecture) => findImage(records, name, architecture),
    list: () => listImages(records),
    remove: (name, { inUse }) => removeImage(records, name, inUse, pathOf),
    squashfsPath: (image) => pathOf(image.digest, image.architecture),
  };

  async function keep(image: ImageRecord): Promise<Image> {
    await records.images.put(`${image.digest}|${image.architecture}`, image);
    return image;
  }

  /** The image where both its record and its file are there. */
  async function presentImage(digest: string, architecture: Architecture): Promise<Image | undefined> {
    const record = (await records.images.get(`${digest}|${architecture}`))?.value;
    return record !== undefined && existsSync(pathOf(digest, architecture)) ? record : undefined;
  }
}

async function prepareFolders(instance: Instance): Promise<void> {
  const work = join(debianFolder(instance), 'work');
  await mkdir(imagesFolder(instance), { recursive: true, mode: 0o755 });
  await mkdir(work, { recursive: true });
  await removeLeftovers(imagesFolder(instance));
  await removeLeftovers(work);
}
