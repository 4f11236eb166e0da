/** Order of Debian version numbers (deb-version(7)): epoch, upstream, revision; digits by number, `~` before all. */

/** Negative where the first is older, 0 where they are equal. */
export function compareDebianVersions(one: string, other: string): number {
  const [first, second] = [partsOf(one), partsOf(other)];
  return first.epoch - second.epoch || comparePart(first.upstream, second.upstream) || comparePart(first.revision, second.revision);
}

function partsOf(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(':');
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return { epoch: colon === -1 ? 0 : Number(version.slice(0, colon)), upstream: dash === -1 ? rest : rest.slice(0, dash), revision: dash === -1 ? '' : rest.slice(dash + 1) };
}

/** Alternating runs of non-digits and digits. */
function comparePart(one: string, other: string): number {
  const [first, second] = [runsOf(one), runsOf(other)];
  for (let index = 0; index < Math.max(first.length, second.length); index += 1) {
    const [a, b] = [first[index] ?? '', second[index] ?? ''];
    const order = index % 2 === 0 ? compareText(a, b) : Number(a === '' ? 0 : a) - Number(b === '' ? 0 : b);
    if (order !== 0) return order;
  }
  return 0;
}

function runsOf(part: string): string[] {
  const runs: string[] = [];
  for (const match of part.matchAll(/(\D*)(\d*)/g)) if (match[0] !== '') runs.push(match[1] ?? '', match[2] ?? '');
  return runs;
}

function compareText(one: string, other: string): number {
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const order = weight(one[index]) - weight(other[index]);
    if (order !== 0) return order;
  }
  return 0;
}

/** `~` before the end, the end before letters, letters before all else. */
function weight(character: string | undefined): number {
  if (character === '~') return -1;
  if (character === undefined) return 0;
  return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
}
