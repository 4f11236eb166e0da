/**
 * The statements over the store's tables, and the counters that are kept in memory beside them. Called
 * only inside a transaction where it writes; whoever rolls back calls `reload`.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { StrataError } from '#base';
import type { CheckedWrite } from '../check-transaction.ts';
import type { Entry } from '../store.ts';
import { checksumOf } from './checksum.ts';
import type { ChangeRow } from './watchers.ts';

export interface Tables {
  readonly revision: number;
  readonly compacted: number;
  revisionOf(key: string): number | undefined;
  get(key: string, damaged: (what: string) => StrataError): Entry | undefined;
  list(prefix: string, damaged: (what: string) => StrataError): Entry[];
  /** Returns the new revision. */
  write(writes: readonly CheckedWrite[]): number;
  readChanges(prefix: string, revision: number, position: number): readonly ChangeRow[];
  historyFull(): boolean;
  /** Forgets the older half, and on until it is within its bounds. */
  dropOldHistory(): void;
  compact(revision: number): void;
  saveCounters(): void;
  /** Takes the counters from the file again. */
  reload(): void;
}

/** Rows a watcher reads at once. */
const batchRows = 64;
/** Above every character a key may hold. */
const prefixEnd = '\x7f';

export function openTables(database: DatabaseSync, limits: { readonly changes: number; readonly bytes: number }): Tables {
  const selectCounter = database.prepare('SELECT value FROM counter WHERE name = ?');
  const updateCounter = database.prepare('UPDATE counter SET value = ? WHERE name = ?');
  const selectRevision = database.prepare('SELECT revision, created FROM record WHERE key = ?');
  const selectRecord = database.prepare('SELECT key, value, revision, created, checksum FROM record WHERE key = ?');
  const selectPrefix = database.prepare('SELECT key, value, revision, created, checksum FROM record WHERE key >= ? AND key < ? ORDER BY key');
  const upsert = database.prepare('INSERT INTO record (key, value, revision, created, checksum) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision, checksum = excluded.checksum');
  const remove = database.prepare('DELETE FROM record WHERE key = ?');
  const insertChange = database.prepare('INSERT INTO change (revision, position, key, value) VALUES (?, ?, ?, ?)');
  const selectChanges = database.prepare(`SELECT revision, position, key, value FROM change WHERE (revision, position) > (?, ?) AND key >= ? AND key < ? ORDER BY revision, position LIMIT ${batchRows}`);
  const deleteChanges = database.prepare('DELETE FROM change WHERE revision <= ?');
  const sizeOfHistory = database.prepare('SELECT count(*) AS changes, coalesce(sum(length(value)), 0) AS bytes FROM change');
  const revisionAt = database.prepare('SELECT revision FROM change ORDER BY revision, position LIMIT 1 OFFSET ?');

  let saved = { revision: 0, compacted: 0 };
  let now = saved;
  let history = { changes: 0, bytes: 0 };

  function reload(): void {
    saved = { revision: Number(selectCounter.get('revision')?.['value']), compacted: Number(selectCounter.get('compacted')?.['value']) };
    now = saved;
    countHistory();
  }

  function countHistory(): void {
    const size = sizeOfHistory.get();
    history = { changes: Number(size?.['changes']), bytes: Number(size?.['bytes']) };
  }

  function compact(revision: number): void {
    const upTo = Math.min(revision, now.revision);
    if (upTo <= now.compacted) return;
    deleteChanges.run(upTo);
    now = { ...now, compacted: upTo };
    countHistory();
  }

  const historyFull = (): boolean => history.changes > limits.changes || history.bytes > limits.bytes;

  reload();
  return {
    get revision() { return now.revision; },
    get compacted() { return now.compacted; },
    revisionOf(key) {
      const row = selectRevision.get(key);
      return row === undefined ? undefined : Number(row['revision']);
    },
    get(key, damaged) {
      const row = selectRecord.get(key);
      return row === undefined ? undefined : entryOf(row, damaged);
    },
    list(prefix, damaged) {
      const entries: Entry[] = [];
      for (const row of selectPrefix.iterate(prefix, prefix + prefixEnd)) entries.push(entryOf(row, damaged));
      return entries;
    },
    write(writes) {
      const revision = now.revision + 1;
      now = { ...now, revision };
      writes.forEach(({ key, json }, position) => {
        if (json === undefined) remove.run(key);
        else {
          const created = Number(selectRevision.get(key)?.['created'] ?? revision);
          upsert.run(key, json, revision, created, checksumOf(key, json, revision, created));
        }
        insertChange.run(revision, position, key, json ?? null);
        history = { changes: history.changes + 1, bytes: history.bytes + (json?.length ?? 0) };
      });
      return revision;
    },
    readChanges: (prefix, revision, position) => selectChanges.all(revision, position, prefix, prefix + prefixEnd).map((row) => ({
      revision: Number(row['revision']), position: Number(row['position']), key: String(row['key']), value: row['value'] === null ? null : String(row['value']),
    })),
    historyFull,
    dropOldHistory() {
      do compact(Number(revisionAt.get(Math.floor(history.changes / 2))?.['revision'] ?? now.revision));
      while (historyFull());
    },
    compact,
    saveCounters() {
      if (now.revision !== saved.revision) updateCounter.run(now.revision, 'revision');
      if (now.compacted !== saved.compacted) updateCounter.run(now.compacted, 'compacted');
      saved = now;
    },
    reload,
  };
}

function entryOf(row: Record<string, unknown>, damaged: (what: string) => StrataError): Entry {
  const [key, json, revision, created] = [String(row['key']), String(row['value']), Number(row['revision']), Number(row['created'])];
  if (checksumOf(key, json, revision, created) !== Number(row['checksum'])) throw damaged(`record ${key} does not match its checksum`);
  return { key, value: JSON.parse(json), revision, created };
}
