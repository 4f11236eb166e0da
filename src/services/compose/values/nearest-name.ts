/** The known name that a mistyped one most likely meant, for advice; undefined where none is near. */
export function nearestName(typed: string, known: Iterable<string>): string | undefined {
  if (typed.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(typed.length / 3)) + 1;
  for (const name of known) {
    const far = distance(typed.toLowerCase().replaceAll('-', '_'), name.toLowerCase().replaceAll('-', '_'));
    if (far < bestDistance) { best = name; bestDistance = far; }
  }
  return best;
}

/** Levenshtein's distance, with two swapped neighbours counted as one. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const next = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const changed = (last[column - 1] as number) + (a[row - 1] === b[column - 1] ? 0 : 1);
      let least = Math.min((last[column] as number) + 1, (next[column - 1] as number) + 1, changed);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) least = Math.min(least, (before[column - 2] as number) + 1);
      next.push(least);
    }
    before = last;
    last = next;
  }
  return last[b.length] as number;
}
