/**
 * Which layers of a disk in use are merged, that nothing of its machine's own keeps apart. Clones and forks have names of their own for
 * layers, so they keep nothing apart. Pure.
 */

export interface LayerFacts {
  /** The room it takes. */
  readonly bytes: number;
  /** A snapshot of the machine, that was not made in passing, has it. */
  readonly kept: boolean;
}

export type MergePlan =
  | { readonly merge: true; /** From the uppermost layer down. */ readonly count: number; /** That are copied at most. */ readonly bytes: number }
  | { readonly merge: false; readonly why: 'few layers' | 'kept apart by snapshots' };

/** One copy alone costs no merge; a fork takes about 10 ms longer for each layer. */
export const fewLayers = 6;
/** So many stay at most of those that would have to be copied again and again. */
const stay = 3;

/**
 * The lowest file stays, which is mostly the largest, and the top, which is written. As many are merged as make the chain short, and
 * a lower one only where it is no larger than what goes on top of it: what is large is copied seldom, however often the machine is copied.
 * @param files of the disk, the uppermost first
 */
export function planMerge(files: readonly LayerFacts[]): MergePlan {
  const between = files.slice(1, -1);
  const firstKept = between.findIndex((one) => one.kept);
  const free = firstKept < 0 ? between : between.slice(0, firstKept);
  if (between.length <= fewLayers) return { merge: false, why: 'few layers' };
  if (free.length <= fewLayers) return { merge: false, why: 'kept apart by snapshots' };
  let [count, bytes] = [0, 0];
  for (const one of free) {
    if (count >= free.length - stay && one.bytes > bytes) break;
    [count, bytes] = [count + 1, bytes + one.bytes];
  }
  return { merge: true, count, bytes };
}
