/**
 * What must hold of every write of a story, whoever makes it: a wish only gets later generations, a changed app a new one,
 * and an app that was forgotten is not written again as if it had been there all the time.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Store, Write } from '#store';

export interface NotedGenerations {
  readonly faults: readonly string[];
  /** The same store, each committed write looked at. */
  noted(store: Store): Store;
}

interface Wish { readonly generation: number; readonly revision: number; readonly value: unknown }

export function noteGenerations(): NotedGenerations {
  const faults: string[] = [];
  const wishes = new Map<string, Wish>();

  function note(write: Write, revision: number): void {
    if ('delete' in write) { wishes.delete(write.delete); return; }
    const { put: key, value } = write;
    const generation = generationOf(key, value);
    const before = wishes.get(key);
    if (generation === undefined || (before !== undefined && before.revision > revision)) return;
    wishes.set(key, { generation, revision, value });
    if (before === undefined && generation !== 1) faults.push(`${key} was written with generation ${generation} although it was not there`);
    if (before !== undefined && generation < before.generation) faults.push(`${key} went back from generation ${before.generation} to ${generation}`);
    if (before !== undefined && generation === before.generation && key.startsWith('app/') && !isDeepStrictEqual(before.value, value)) faults.push(`${key} changed within generation ${generation}`);
  }

  return {
    faults,
    noted: (store) => ({
      ...store,
      async transact(transaction) {
        const result = await store.transact(transaction);
        if (result.committed) for (const write of transaction.writes) note(write, result.revision);
        return result;
      },
    }),
  };
}

function generationOf(key: string, value: unknown): number | undefined {
  if (!/^(app|container|machine)\//.test(key) || typeof value !== 'object' || value === null || !('generation' in value)) return undefined;
  return typeof value.generation === 'number' ? value.generation : undefined;
}
