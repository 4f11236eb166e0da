/** Typed records over a real store. */
import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { recordsOf } from './records.ts';
import { openSqliteStore } from './sqlite/open-sqlite-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-records-'));
const store = await openSqliteStore({ path: join(folder, 'store.db') });
after(async () => { await store.close(); rmSync(folder, { recursive: true, force: true }); });
const schema = z.strictObject({ count: z.int() });

test('[S16] what does not fit is neither written nor read', async () => {
  const records = recordsOf(store, 'fit', schema);
  await rejects(records.put('1', { count: 1.5 }), { code: 'store.badValue' });
  throws(() => records.putWrite('1', { count: 1, more: 2 } as { count: number }), { code: 'store.badValue' });
  equal(await records.get('1'), undefined);
  await store.transact({ writes: [{ put: 'fit/2', value: { count: 'many' } }] });
  await rejects(records.get('2'), (error: Error) => error.message.includes('fit/2'));
  await rejects(records.list(), { code: 'store.badRecord' });
});

test('[S17] forty writers at once lose no change', async () => {
  const records = recordsOf(store, 'counter', schema);
  await Promise.all(Array.from({ length: 40 }, () => records.update('1', (before) => ({ count: (before?.count ?? 0) + 1 }))));
  deepEqual((await records.get('1'))?.value, { count: 40 });
});

test('[S17] update writes nothing where nothing changes, deletes for undefined', async () => {
  const records = recordsOf(store, 'same', schema);
  const revision = await records.put('1', { count: 1 });
  await records.update('1', (before) => before);
  equal((await records.get('1'))?.revision, revision);
  equal(await records.update('2', () => undefined), undefined);
  equal(await records.update('1', () => undefined), undefined);
  equal(await records.get('1'), undefined);
});

test('[S2] conditions of put and delete hold', async () => {
  const records = recordsOf(store, 'when', schema);
  const revision = await records.put('1', { count: 1 }, { ifRevision: 0 });
  await rejects(records.put('1', { count: 2 }, { ifRevision: 0 }), { code: 'store.conflict', kind: 'conflict' });
  await rejects(records.delete('1', { ifRevision: revision + 1 }), { code: 'store.conflict' });
  equal(await records.delete('1', { ifRevision: revision }), true);
  equal(await records.delete('1'), false);
  await rejects(records.delete('1', { ifRevision: revision }), { code: 'store.conflict' });
});

test('[S6] a typed watch goes on from a snapshot', async () => {
  const records = recordsOf(store, 'seen', schema);
  await records.put('1', { count: 1 });
  const { entries, revision } = await records.snapshot();
  equal(entries.length, 1);
  await records.put('2', { count: 2 });
  await records.delete('2');
  const seen = [];
  for await (const change of records.watch(revision, AbortSignal.timeout(5000))) if (seen.push([change.id, change.value]) === 2) break;
  deepEqual(seen, [['2', { count: 2 }], ['2', undefined]]);
});
