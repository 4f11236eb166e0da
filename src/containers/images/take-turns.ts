/** Work under one name happens one after the other; what failed does not stop the next. */
const lasts = new Map<string, Promise<unknown>>();

export async function takeTurns<T>(name: string, work: () => Promise<T>): Promise<T> {
  const before = lasts.get(name) ?? Promise.resolve();
  const mine = before.then(work, work);
  const settled = mine.then(() => undefined, () => undefined);
  lasts.set(name, settled);
  try {
    return await mine;
  } finally {
    if (lasts.get(name) === settled) lasts.delete(name);
  }
}
