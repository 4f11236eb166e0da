/** Finding a record by what a person typed: its name or its id, exactly. */
import { StrataError } from '#base';

/** @throws StrataError `<noun>.notFound` with the names there are */
export function findByHandle<T extends { readonly id: string; readonly name: string }>(noun: string, handle: string, candidates: readonly T[]): T {
  const found = candidates.find((one) => one.id === handle) ?? candidates.find((one) => one.name === handle);
  if (found !== undefined) return found;
  const names = candidates.map((one) => one.name).slice(0, 8).join(', ');
  const said = noun === 'backend' ? 'back end' : noun;
  throw new StrataError(`there is no ${said} ${handle}`, { code: `${noun}.notFound`, kind: 'notFound', advice: names === '' ? `there is no ${said} at all yet` : `there is: ${names}` });
}
