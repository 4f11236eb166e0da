/** Which layers of a disk nobody but the disk itself needs: they go into its top, so that chains do not grow without end. Pure. */

/**
 * @param shared of each file of the disk, the uppermost first: whether a snapshot or a clone has it too
 * @returns how many of the lowest files stay as they are: what is shared, or the lowest alone, which is mostly the largest
 */
export function keptFiles(shared: readonly boolean[]): number {
  const below = shared.slice(1);
  const first = below.indexOf(true);
  return Math.min(below.length, first < 0 ? 1 : below.length - first);
}
