/** Finding, naming, listing and removing images by their records. */
import { rm } from 'node:fs/promises';
import { architectures, StrataError, type Architecture } from '#base';
import type { Image, ImageUsers } from './image.ts';
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
export async function removeImage(records: ImageRecords, name: string, usersOf: ImageUsers, pathOf: (digest: string, architecture: Architecture) => string): Promise<void> {
  const found = (await Promise.all(architectures.map((one) => findImage(records, name, one)))).filter((one) => one !== undefined);
  if (found.length === 0) throw new StrataError(`there is no image ${name}`, { code: 'image.notFound', kind: 'notFound', advice: 'see `strata image ls`' });
  const byReference = isReference(name) ? normalReference(name) : undefined;
  for (const image of found) {
    const named = (await records.references.list()).filter((one) => one.value.digest === image.digest && one.id.endsWith(`|${image.architecture}`));
    const mine = byReference === undefined ? undefined : named.find((one) => one.id === recordId(byReference, image.architecture));
    const last = mine === undefined || named.length === 1;
    const users = last ? await usersOf(image.digest, image.architecture) : { containers: [], apps: [] };
    if (users.containers.length > 0 || users.apps.length > 0) throw inUse(name, image.digest, users);
    for (const one of mine === undefined ? named : [mine]) await records.references.delete(one.id);
    if (!last) continue;
    await records.images.delete(recordId(image.digest, image.architecture));
    await rm(pathOf(image.digest, image.architecture), { force: true });
  }
}

const namesShown = 5;

function inUse(name: string, digest: string, { containers, apps }: Awaited<ReturnType<ImageUsers>>): StrataError {
  const shown = (names: readonly string[], what: string) => (names.length === 0 ? [] : [`${what}${names.length === 1 ? '' : 's'} ${names.slice(0, namesShown).join(', ')}${names.length > namesShown ? ` and ${names.length - namesShown} more` : ''}`]);
  const by = [...shown(containers, 'container'), ...shown(apps, 'app')].join(' of ');
  return new StrataError(`image ${name} (${digest.slice(0, 19)}) is in use by ${by}`, {
    code: 'image.inUse', kind: 'conflict', advice: apps.length === 0 ? 'wait until they are gone' : `take it down first: ${apps.slice(0, namesShown).map((app) => `\`strata down -p ${app}\``).join(', ')}`, details: { containers, apps },
  });
}

function isReference(name: string): boolean {
  try { normalReference(name); return true; } catch { return false; }
}
