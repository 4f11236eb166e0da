/** Finding, naming, listing and removing images by their records. */
import { rm } from 'node:fs/promises';
import { architectures, StrataError, type Architecture } from '#base';
import type { Image } from './image.ts';
import { nameOfRecordId, recordId, type ImageRecords } from './image-record.ts';
import { digestForm, familiarReference, normalReference } from './reference.ts';

/** Points the reference at the image; what pointed elsewhere before, keeps its image. */
export async function tagImage(records: ImageRecords, reference: string, image: Image): Promise<void> {
  await records.references.update(recordId(reference, image.architecture), (before) => (before?.digest === image.digest ? before : { digest: image.digest }));
}

/** A digest, or at least 7 digits of one. */
const prefixForm = /^(sha256:)?[0-9a-f]{7,64}$/;

/** By reference first, then by digest or a beginning of one. @throws StrataError `image.ambiguous` */
export async function findImage(records: ImageRecords, name: string, architecture: Architecture): Promise<Image | undefined> {
  if (digestForm.test(name)) return (await records.images.get(recordId(name, architecture)))?.value;
  const byReference = isReference(name) ? (await records.references.get(recordId(normalReference(name), architecture)))?.value : undefined;
  if (byReference !== undefined) return (await records.images.get(recordId(byReference.digest, architecture)))?.value;
  if (!prefixForm.test(name)) return undefined;
  const prefix = name.startsWith('sha256:') ? name : `sha256:${name}`;
  const found = (await records.images.list()).map((one) => one.value).filter((one) => one.architecture === architecture && one.digest.startsWith(prefix));
  if (found.length > 1) throw new StrataError(`${name} is the beginning of ${found.length} images' digests`, { code: 'image.ambiguous', kind: 'conflict', advice: 'give more of its digits' });
  return found[0];
}

export async function listImages(records: ImageRecords): Promise<readonly (Image & { readonly references: readonly string[] })[]> {
  const references = await records.references.list();
  return (await records.images.list()).map(({ value }) => ({
    ...value,
    references: references.filter((one) => one.value.digest === value.digest && one.id.endsWith(`|${value.architecture}`)).map((one) => familiarReference(nameOfRecordId(one.id))).sort(),
  }));
}

/**
 * Removes a reference, and the image with its last one; by digest, the image with all of them.
 * @throws StrataError `image.notFound`, `image.inUse`
 */
export async function removeImage(records: ImageRecords, name: string, inUse: (digest: string) => Promise<boolean>, pathOf: (digest: string, architecture: Architecture) => string): Promise<void> {
  const found = (await Promise.all(architectures.map((one) => findImage(records, name, one)))).filter((one) => one !== undefined);
  if (found.length === 0) throw new StrataError(`there is no image ${name}`, { code: 'image.notFound', kind: 'notFound', advice: 'see `strata image ls`' });
  const byReference = isReference(name) ? normalReference(name) : undefined;
  for (const image of found) {
    const named = (await records.references.list()).filter((one) => one.value.digest === image.digest && one.id.endsWith(`|${image.architecture}`));
    const mine = byReference === undefined ? undefined : named.find((one) => one.id === recordId(byReference, image.architecture));
    const last = mine === undefined || named.length === 1;
    if (last && (await inUse(image.digest))) {
      throw new StrataError(`image ${name} (${image.digest.slice(0, 19)}) is in use by a container`, { code: 'image.inUse', kind: 'conflict', advice: 'take the app down first; `strata ps -a` shows which' });
    }
    for (const one of mine === undefined ? named : [mine]) await records.references.delete(one.id);
    if (!last) continue;
    await records.images.delete(recordId(image.digest, image.architecture));
    await rm(pathOf(image.digest, image.architecture), { force: true });
  }
}

function isReference(name: string): boolean {
  try { normalReference(name); return true; } catch { return false; }
}
