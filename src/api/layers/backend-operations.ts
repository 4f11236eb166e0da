/** Operations and the watch over all changes. */
import type { Event, Operation } from '#contract';
import type { Backend } from '../backend.ts';
import type { Layers } from './layers.ts';
import { showOperation } from './show-operation.ts';

export function operationsBackend(layers: Layers): Backend['operations'] {
  const { operations } = layers;
  return {
    list: async (query) => (await operations.list({ ...query, limit: query.limit ?? 100 })).map(showOperation),
    get: async (id) => showOperation(await operations.get(id)),
    async follow(id, signal) {
      await operations.get(id); // what is not there is said before the stream begins
      return shown(operations.follow(id, signal));
    },
    cancel: async (id) => showOperation(await operations.cancel(id)),
  };
}

async function* shown(source: AsyncIterable<Parameters<typeof showOperation>[0]>): AsyncGenerator<Operation> {
  for await (const one of source) yield showOperation(one);
}

/** Which noun a record's kind belongs to; kinds that are bookkeeping tell nobody. */
const nounOf: Readonly<Record<string, Event['kind']>> = {
  host: 'host', machine: 'machine', 'machine-status': 'machine', image: 'image', app: 'app', 'app-status': 'app', service: 'service',
  container: 'container', 'container-status': 'container', volume: 'volume', operation: 'operation',
};

export function eventsBackend(layers: Layers): Backend['events'] {
  return async (since, signal) => {
    const revision = since ?? (await layers.store.list('~')).revision;
    const changes = layers.store.watch('', revision, signal)[Symbol.asyncIterator]();
    // The first look tells at once where the revision was compacted.
    const first = changes.next();
    await Promise.race([first, new Promise((resolve) => { setTimeout(resolve, 20).unref(); })]);
    return (async function* (): AsyncGenerator<Event> {
      for (let next = await first; next.done !== true; next = await changes.next()) {
        const { key, value, revision: at } = next.value;
        const kind = nounOf[key.slice(0, key.indexOf('/'))];
        if (kind !== undefined) yield { revision: at, kind, id: key.slice(key.indexOf('/') + 1), change: value === undefined && !key.includes('-status/') ? 'remove' : 'put' };
      }
    })();
  };
}
