/** Environments as lists of NAME=value. Pure. */

/** One list of several; of equal names the last one's value holds, in the first one's place. */
export function mergeEnvironment(...lists: readonly (readonly string[])[]): string[] {
  const pairs = new Map<string, string>();
  for (const pair of lists.flat()) pairs.set(pair.slice(0, Math.max(0, pair.indexOf('='))) || pair, pair);
  return [...pairs.values()];
}
