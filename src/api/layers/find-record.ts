/** Finding a record by what a person typed: its name or its id, exactly. */
import { StrataError } from '#base';

/** @throws StrataError `<noun>.notFound` with the names there are */
export function findByHandle<T extends { readonly id: string; readonly name: string }>(noun: string, handle: string, candidates: readonly T[]): T {
  const found = candidates.find((one) => one.id === handle) ?? candidates.find((one) => one.name === handle);
  if (found !== undefined) return found;
  const names = someOf(candidates.map((one) => one.name));
  const said = noun === 'backend' ? 'back end' : noun;
  throw new StrataError(`there is no ${said} ${handle}`, { code: `${noun}.notFound`, kind: 'notFound', advice: names === '' ? `there is no ${said} at all yet` : `there is: ${names}` });
}

const most = 8;

/** In their order, and how many more there are. */
export function someOf(names: readonly string[]): string {
  const sorted = names.toSorted((one, other) => one.localeCompare(other, 'en', { numeric: true }));
  const more = sorted.length - most;
  return `${sorted.slice(0, most).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
