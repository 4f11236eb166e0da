/** One work after the other for each machine: its controller's rounds, and copies of it. */
export type MachineTurns = <T>(id: string, work: () => Promise<T>) => Promise<T>;

export function machineTurns(): MachineTurns {
  const tails = new Map<string, Promise<unknown>>();
  return (id, work) => {
    const mine = (tails.get(id) ?? Promise.resolve()).then(work, work);
    const tail = mine.then(() => undefined, () => undefined).then(() => { if (tails.get(id) === tail) tails.delete(id); });
    tails.set(id, tail);
    return mine;
  };
}
