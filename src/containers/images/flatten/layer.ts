/** A layer as the flattener takes it, and the bounds it keeps. */
import { StrataError } from '#base';
import type { TarItem } from '../tar/read-tar.ts';

export interface Layer {
  /** How errors call it: `layer 2 (sha256:1f3c…)`. */
  readonly name: string;
  /** The entries in order; asked for twice: first for the index, then for the contents. */
  items(): AsyncIterable<TarItem>;
  /**
   * For layers of our own making: what they write below a symlink goes to where it points inside the
   * root, and a directory entry does not replace a symlink to a directory (as `tar --keep-directory-symlink`).
   */
  readonly followLinks?: boolean;
}

export interface FlattenLimits {
  readonly maxEntries: number;
  /** Content of all layers together. */
  readonly maxBytes: number;
  /** Names, link targets and attributes of all layers together: what the index holds in memory. */
  readonly maxMetaBytes: number;
}

export const flattenLimits: FlattenLimits = { maxEntries: 500_000, maxBytes: 32 * 1024 ** 3, maxMetaBytes: 96 * 1024 ** 2 };

/** The refusal of an image, naming image, layer and entry. */
export function imageRefused(place: { readonly image: string; readonly layer?: string; readonly entry?: string }, problem: string, cause?: unknown): StrataError {
  const where = [`image ${printable(place.image)}`, ...(place.layer === undefined ? [] : [place.layer]), ...(place.entry === undefined || place.entry === '' ? [] : [`entry "${printable(place.entry)}"`])];
  return new StrataError(`${where.join(', ')}: ${problem}`, {
    code: 'image.refused', kind: 'invalid', advice: 'the image is damaged or hostile; nothing of it was kept', ...(cause === undefined ? {} : { cause }),
    details: { image: place.image, layer: place.layer ?? '', entry: printable(place.entry ?? '') },
  });
}

/** A name of an archive as one harmless line. */
export function printable(name: string): string {
  const text = Buffer.from(name, 'latin1').toString('utf8').replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?').replaceAll('"', "'");
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
