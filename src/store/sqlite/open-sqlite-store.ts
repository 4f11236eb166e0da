/**
 * The embedded store: one SQLite file, owned by one process. A commit blocks the event loop for one fsync;
 * transactions that arrived meanwhile share the next one (group commit), each compared on its own.
 */
import type { DatabaseSync } from 'node:sqlite';
import { StrataError } from '#base';
import { checkKey, checkTransaction, type CheckedWrite } from '../check-transaction.ts';
import type { Compare, Store, TransactionResult } from '../store.ts';
import { migrations } from './migrations/migrations.ts';
import { openDatabase } from './open-database.ts';
import { damagedStore, sqliteError } from './sqlite-errors.ts';
import { openTables, type Tables } from './tables.ts';
import { openWatchers } from './watchers.ts';

export interface SqliteStoreOptions {
  readonly path: string;
  /** How long to wait for another process to let go of the file; default 1 s. */
  readonly busyMs?: number;
  /** Changes kept for watchers; older ones are compacted by themselves. Default 8192. */
  readonly historyChanges?: number;
  /** Bytes of values kept in the history; default 32 MiB. */
  readonly historyBytes?: number;
  /** For tests of upgrades: another list of schemas. */
  readonly migrations?: readonly string[];
}

interface Pending {
  readonly compare: readonly Compare[];
  readonly writes: readonly CheckedWrite[];
  resolve(result: TransactionResult): void;
  reject(error: StrataError): void;
}

interface Outcome { readonly result: TransactionResult; readonly keys: readonly string[] }

const maxGroup = 256;

/** @throws StrataError `store.locked`, `store.damaged`, `store.newerSchema`, `store.diskFull`, `store.cannotOpen` */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { path } = options;
  const database = await openDatabase({ path, busyMs: options.busyMs ?? 1000, migrations: options.migrations ?? migrations });
  const tables = openTables(database, { changes: options.historyChanges ?? 8192, bytes: options.historyBytes ?? 32 * 1024 * 1024 });
  const watchers = openWatchers({ revision: () => tables.revision, compacted: () => tables.compacted, read: (prefix, revision, position) => guarded(() => tables.readChanges(prefix, revision, position)) });
  const queue: Pending[] = [];
  let scheduled: NodeJS.Immediate | undefined;
  let closed = false;

  function guarded<T>(body: () => T): T {
    if (closed) throw new StrataError('the store was closed', { code: 'store.closed', kind: 'unavailable' });
    try {
      return body();
    } catch (thrown) {
      throw sqliteError(thrown, path);
    }
  }

  function flush(): void {
    scheduled = undefined;
    while (queue.length > 0) commitGroup(queue.splice(0, maxGroup));
  }

  function commitGroup(group: readonly Pending[]): void {
    let outcomes: readonly Outcome[];
    try {
      outcomes = inTransaction(database, tables, () => group.map((one) => applyOne(tables, one)));
    } catch (thrown) {
      // One of them may be what does not fit: alone, each gets its own answer.
      if (group.length > 1) for (const one of group) commitGroup([one]);
      else group[0]?.reject(sqliteError(thrown, path));
      return;
    }
    group.forEach((one, index) => {
      const outcome = outcomes[index] as Outcome;
      if (outcome.result.committed && outcome.keys.length > 0) watchers.committed(outcome.result.revision, outcome.keys);
      one.resolve(outcome.result);
    });
    trim();
  }

  /** Compaction is housekeeping: where the disk is full it waits for the next commit. */
  function trim(): void {
    if (!tables.historyFull()) return;
    try {
      inTransaction(database, tables, () => tables.dropOldHistory());
    } catch (thrown) {
      if (sqliteError(thrown, path).code !== 'store.diskFull') throw thrown;
    }
  }

  return {
    get: async (key) => {
      checkKey(key);
      return guarded(() => tables.get(key, (what) => damagedStore(path, what)));
    },
    list: async (prefix) => guarded(() => ({ entries: tables.list(prefix, (what) => damagedStore(path, what)), revision: tables.revision })),
    transact: async (transaction) => {
      guarded(() => undefined);
      const writes = checkTransaction(transaction);
      return new Promise((resolve, reject) => {
        queue.push({ compare: transaction.compare ?? [], writes, resolve, reject });
        scheduled ??= setImmediate(flush);
      });
    },
    watch: (prefix, afterRevision, signal) => watchers.watch(prefix, afterRevision, signal),
    compact: async (revision) => guarded(() => inTransaction(database, tables, () => tables.compact(revision))),
    async close() {
      if (closed) return;
      if (scheduled !== undefined) clearImmediate(scheduled);
      flush();
      closed = true;
      watchers.close();
      database.close();
    },
  };
}

/** Either all of it is durable when this returns, or nothing of it happened, in memory too. */
function inTransaction<T>(database: DatabaseSync, tables: Tables, body: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    tables.saveCounters();
    database.exec('COMMIT');
    return result;
  } catch (thrown) {
    if (database.isTransaction) database.exec('ROLLBACK');
    tables.reload();
    throw thrown;
  }
}

function applyOne(tables: Tables, one: Pending): Outcome {
  const conflicts = one.compare.filter((compare) => {
    const revision = tables.revisionOf(compare.key);
    return 'absent' in compare ? revision !== undefined : revision !== compare.revision;
  }).map((compare) => compare.key);
  if (conflicts.length > 0) return { result: { committed: false, conflicts }, keys: [] };
  const writes = one.writes.filter((write) => write.json !== undefined || tables.revisionOf(write.key) !== undefined);
  if (writes.length === 0) return { result: { committed: true, revision: tables.revision }, keys: [] };
  return { result: { committed: true, revision: tables.write(writes) }, keys: writes.map((write) => write.key) };
}
