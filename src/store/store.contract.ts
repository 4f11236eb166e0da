/** The suite every driver of the store passes. `open` gives a fresh, empty store. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Change, Store, TransactionResult, Write } from './store.ts';

export interface StoreUnderTest {
  open(): Promise<Store>;
}

const put = (key: string, value: unknown): Write => ({ put: key, value });
const revisionOf = (result: TransactionResult): number => { ok(result.committed); return result.revision; };

/** Takes changes until it has that many, or the watch ends. */
export async function takeChanges(watch: AsyncIterable<Change>, count: number): Promise<Change[]> {
  const seen: Change[] = [];
  if (count === 0) return seen;
  for await (const one of watch) if (seen.push(one) >= count) break;
  return seen;
}

export function storeContract(name: string, driver: StoreUnderTest): void {
  const it = (title: string, body: (store: Store) => Promise<void>) => test(`${title} (${name})`, async () => {
    const store = await driver.open();
    try { await body(store); } finally { await store.close(); }
  });
  transactionRules(it);
  watchRules(it);
  test(`[S1][S5][S6] a store is what its history says, for any transactions (${name})`, async () => {
    const keys = fc.constantFrom('a/1', 'a/2', 'ab/1', 'b/1');
    const part = fc.tuple(keys, fc.option(fc.jsonValue({ maxDepth: 2 }), { nil: undefined }));
    await fc.assert(fc.asyncProperty(fc.array(fc.uniqueArray(part, { selector: ([key]) => key, minLength: 1, maxLength: 3 }), { maxLength: 12 }), async (history) => {
      const store = await driver.open();
      try { await replay(store, history); } finally { await store.close(); }
    }), { numRuns: 25 });
  });
}

/** Performs it, and compares with a map, and the watch with the list of effective changes. */
async function replay(store: Store, history: readonly (readonly [string, unknown][])[]): Promise<void> {
  const model = new Map<string, { value: unknown; revision: number; created: number }>();
  const changes: Change[] = [];
  let revision = 0;
  for (const parts of history) {
    const effective = parts.filter(([key, value]) => value !== undefined || model.has(key));
    if (effective.length > 0) revision += 1;
    equal(revisionOf(await store.transact({ writes: parts.map(([key, value]) => (value === undefined ? { delete: key } : put(key, value))) })), revision);
    for (const [key, value] of effective) {
      const json: unknown = value === undefined ? undefined : JSON.parse(JSON.stringify(value));
      changes.push({ key, value: json, revision });
      if (value === undefined) model.delete(key);
      else model.set(key, { value: json, revision, created: model.get(key)?.created ?? revision });
    }
  }
  for (const prefix of ['a/', 'a', '']) {
    const wanted = [...model].filter(([key]) => key.startsWith(prefix)).map(([key, one]) => ({ key, ...one })).toSorted((one, other) => (one.key < other.key ? -1 : 1));
    deepEqual(await store.list(prefix), { entries: wanted, revision });
    const expected = changes.filter((one) => one.key.startsWith(prefix));
    deepEqual(await takeChanges(store.watch(prefix, 0, AbortSignal.timeout(5000)), expected.length), expected);
  }
}

type It = (title: string, body: (store: Store) => Promise<void>) => void;

function transactionRules(it: It): void {
  it('[S1] all writes of a transaction have one revision, the next has the next', async (store) => {
    const first = revisionOf(await store.transact({ writes: [put('a/1', 1), put('a/2', 2)] }));
    equal((await store.get('a/1'))?.revision, first);
    equal((await store.get('a/2'))?.revision, first);
    equal(revisionOf(await store.transact({ writes: [put('a/3', 3)] })), first + 1);
  });
  it('[S2] a failing compare writes nothing and names the keys', async (store) => {
    const revision = revisionOf(await store.transact({ writes: [put('a/1', 1)] }));
    deepEqual(await store.transact({ compare: [{ key: 'a/1', revision: revision + 7 }, { key: 'a/9', absent: true }], writes: [put('a/2', 2)] }), { committed: false, conflicts: ['a/1'] });
    deepEqual(await store.transact({ compare: [{ key: 'a/1', absent: true }, { key: 'a/2', revision: 3 }], writes: [put('a/2', 2)] }), { committed: false, conflicts: ['a/1', 'a/2'] });
    equal(await store.get('a/2'), undefined);
    equal((await store.list('')).revision, revision);
  });
  it('[S2] of many that want the same key at once exactly one gets it, and neighbours are not hurt', async (store) => {
    const results = await Promise.all(Array.from({ length: 40 }, (_none, index) => [
      store.transact({ compare: [{ key: 'a/1', absent: true }], writes: [put('a/1', index)] }),
      store.transact({ writes: [put(`n/${index}`, index)] }),
    ]).flat());
    equal(results.filter((one) => one.committed).length, 41);
    equal((await store.list('n/')).entries.length, 40);
  });
  it('[S3] changing nothing raises no revision', async (store) => {
    const revision = revisionOf(await store.transact({ writes: [put('a/1', 1)] }));
    equal(revisionOf(await store.transact({ writes: [{ delete: 'a/2' }] })), revision);
    equal(revisionOf(await store.transact({ compare: [{ key: 'a/1', revision }], writes: [] })), revision);
  });
  it('[S4] created stays until deletion', async (store) => {
    const created = revisionOf(await store.transact({ writes: [put('a/1', 1)] }));
    await store.transact({ writes: [put('a/1', 2)] });
    equal((await store.get('a/1'))?.created, created);
    await store.transact({ writes: [{ delete: 'a/1' }] });
    const again = revisionOf(await store.transact({ writes: [put('a/1', 3)] }));
    deepEqual(await store.get('a/1'), { key: 'a/1', value: 3, revision: again, created: again });
  });
  it('[S9] what is out of form is refused and changes nothing', async (store) => {
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    for (const key of ['', 'a', 'a/', '/a', 'A/b', 'a/b c', 'a/ü', 'a/\u0000', `a/${'x'.repeat(600)}`]) {
      await rejects(store.transact({ writes: [put('ok/1', 1), put(key, 1)] }), { code: 'store.badKey' }, key);
    }
    for (const value of [undefined, () => 1, cyclic, 1n]) await rejects(store.transact({ writes: [put('ok/1', 1), put('a/1', value)] }), { code: 'store.badValue' });
    await rejects(store.transact({ writes: [put('a/1', 'x'.repeat(1024 * 1024))] }), { code: 'store.tooLarge' });
    await rejects(store.transact({ writes: [put('a/1', 1), { delete: 'a/1' }] }), { code: 'store.duplicateKey' });
    await rejects(store.transact({ writes: Array.from({ length: 600 }, (_none, index) => put(`a/${index}`, 1)) }), { code: 'store.tooLarge' });
    deepEqual(await store.list(''), { entries: [], revision: 0 });
  });
  it('[S9] awkward values come back as they went in', async (store) => {
    for (const value of [null, '', 0, 'ü\u0000\ud83d\ude00\ud800', { '': [], a: { b: [null, -1.5e-7] } }, "'; DROP TABLE record; --"]) {
      await store.transact({ writes: [put('a/1', value)] });
      deepEqual((await store.get('a/1'))?.value, value);
    }
  });
  it('[S14] compaction takes no record away', async (store) => {
    await store.transact({ writes: [put('a/1', 1)] });
    await store.transact({ writes: [put('a/1', 2)] });
    await store.compact(2);
    equal((await store.get('a/1'))?.value, 2);
    equal(revisionOf(await store.transact({ writes: [put('a/2', 2)] })), 3);
  });
}

function watchRules(it: It): void {
  it('[S6] live changes arrive in order, several watchers at once, only the prefix', async (store) => {
    const end = AbortSignal.timeout(10_000);
    const watches = ['a/', 'b/', ''].map((prefix) => takeChanges(store.watch(prefix, 0, end), prefix === '' ? 200 : 100));
    for (let index = 0; index < 100; index += 1) await Promise.all([store.transact({ writes: [put('a/1', index)] }), store.transact({ writes: [put('b/1', index)] })]);
    const [a, b, all] = await Promise.all(watches);
    deepEqual(a?.map((one) => one.value), Array.from({ length: 100 }, (_none, index) => index));
    ok(b?.every((one) => one.key === 'b/1'));
    deepEqual(all?.map((one) => one.revision), Array.from({ length: 200 }, (_none, index) => index + 1));
  });
  it('[S6] a slow watcher misses nothing, also in the middle of a large transaction', async (store) => {
    const watch = store.watch('a/', 0, AbortSignal.timeout(10_000))[Symbol.asyncIterator]();
    await store.transact({ writes: Array.from({ length: 200 }, (_none, index) => put(`a/${index}`, index)) });
    const seen = [(await watch.next()).value as Change];
    await Promise.all(Array.from({ length: 300 }, (_none, index) => store.transact({ writes: [put('a/x', index)] })));
    while (seen.length < 500) seen.push((await watch.next()).value as Change);
    deepEqual(seen.slice(0, 200).map((one) => one.value), Array.from({ length: 200 }, (_none, index) => index));
    deepEqual(seen.slice(200).map((one) => one.revision), Array.from({ length: 300 }, (_none, index) => index + 2));
    await watch.return?.(undefined);
  });
  it('[S6] a deletion is a change without value', async (store) => {
    await store.transact({ writes: [put('a/1', 1)] });
    await store.transact({ writes: [{ delete: 'a/1' }] });
    deepEqual(await takeChanges(store.watch('a/', 1, AbortSignal.timeout(5000)), 1), [{ key: 'a/1', value: undefined, revision: 2 }]);
  });
  it('[S7] compacted and impossible revisions are answered, not skipped', async (store) => {
    for (let index = 0; index < 5; index += 1) await store.transact({ writes: [put('a/1', index)] });
    await store.compact(3);
    const signal = AbortSignal.timeout(5000);
    await rejects(takeChanges(store.watch('a/', 2, signal), 1), { code: 'store.compacted' });
    await rejects(takeChanges(store.watch('a/', 99, signal), 1), { code: 'store.compacted' });
    deepEqual((await takeChanges(store.watch('a/', 3, signal), 2)).map((one) => one.revision), [4, 5]);
  });
  it('[S7] a watcher overtaken by compaction is told, also inside a transaction; an idle one is not', async (store) => {
    const signal = AbortSignal.timeout(10_000);
    const idle = store.watch('idle/', 0, signal)[Symbol.asyncIterator]();
    const waiting = idle.next();
    const slow = store.watch('a/', 0, signal)[Symbol.asyncIterator]();
    await store.transact({ writes: Array.from({ length: 200 }, (_none, index) => put(`a/${index}`, index)) });
    await slow.next();
    await store.compact(1);
    await store.transact({ writes: [put('idle/1', 1)] });
    equal(((await waiting).value as Change).key, 'idle/1');
    await rejects(async () => { for (let index = 1; index < 200; index += 1) await slow.next(); }, { code: 'store.compacted' });
  });
  it('[S8] abort ends a waiting watch quietly', async (store) => {
    const end = new AbortController();
    const watch = takeChanges(store.watch('a/', 0, end.signal), 1);
    await store.get('a/1');
    end.abort();
    deepEqual(await watch, []);
  });
  it('[S8] closing the store ends a waiting watch with an error', async (store) => {
    const watch = takeChanges(store.watch('a/', 0, AbortSignal.timeout(5000)), 1);
    await Promise.all([rejects(watch, { code: 'store.closed' }), store.get('a/1').then(() => store.close())]);
    await rejects(store.get('a/1'), { code: 'store.closed' });
    await rejects(store.transact({ writes: [put('a/1', 1)] }), { code: 'store.closed' });
  });
}
