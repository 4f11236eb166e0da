/**
 * Opens the file so that it can be trusted: this process alone owns it, it is whole, its schema is ours.
 * A file that fails is refused and left as it is. Nothing here (or anywhere in this process) may open the
 * file with node:fs: closing such a descriptor would drop SQLite's POSIX locks.
 */
import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StrataError } from '#base';
import { damagedStore, sqliteError } from './sqlite-errors.ts';
import { checksumOf } from './checksum.ts';

/** 'Stra' */
const applicationId = 0x53747261;

export interface OpenDatabaseOptions {
  readonly path: string;
  /** How long to wait for another process to let go of the file. */
  readonly busyMs: number;
  readonly migrations: readonly string[];
}

/** @throws StrataError `store.locked`, `store.damaged`, `store.newerSchema`, `store.diskFull`, `store.cannotOpen` */
export async function openDatabase(options: OpenDatabaseOptions): Promise<DatabaseSync> {
  const { path } = options;
  try {
    if (!existsSync(path)) await createDatabase(options);
    return openExisting(options);
  } catch (thrown) {
    const error = sqliteError(thrown, path);
    throw error.code === 'store.locked' ? withHolder(error, path) : error;
  }
}

/** Made aside and renamed, so that an empty or half file under the final name is always damage. */
async function createDatabase(options: OpenDatabaseOptions): Promise<void> {
  const { path } = options;
  if (existsSync(`${path}-wal`)) throw damagedStore(path, 'its write-ahead log is there and the file itself is missing');
  makeFolder(dirname(path));
  const temporary = `${path}.${process.pid}.new`;
  rmSync(temporary, { force: true });
  const database = new DatabaseSync(temporary);
  try {
    database.exec('PRAGMA synchronous = FULL');
    database.exec(`PRAGMA application_id = ${applicationId}`);
    migrate(database, options.migrations, 0);
  } finally {
    database.close();
  }
  renameSync(temporary, path);
  const folder = await open(dirname(path), 'r');
  try { await folder.sync(); } finally { await folder.close(); }
}

/** Level by level: Node's own `recursive` never ends where a file system (/proc) answers ENOENT to every mkdir. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try { mkdirSync(folder, { mode: 0o700 }); } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  }
}

function openExisting(options: OpenDatabaseOptions): DatabaseSync {
  const { path } = options;
  if (!lstatSync(path).isFile()) throw damagedStore(path, 'it is not a regular file');
  if (statSync(path).size === 0) throw damagedStore(path, 'it is empty');
  const database = new DatabaseSync(path, { timeout: options.busyMs });
  try {
    // Exclusive before the first access: the lock is held until close, and readers need no shared memory file.
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL');
    database.exec('PRAGMA foreign_keys = ON; PRAGMA cache_size = -2048; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY');
    database.exec('PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 4194304');
    database.exec('BEGIN IMMEDIATE; COMMIT');
    if (pragma(database, 'application_id') !== applicationId) throw damagedStore(path, 'it is not a store of Strata');
    upgrade(database, options);
    checkWhole(database, path);
    return database;
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

function upgrade(database: DatabaseSync, { path, migrations }: OpenDatabaseOptions): void {
  const version = pragma(database, 'user_version');
  if (version > migrations.length) {
    throw new StrataError(`the store ${path} was written by a newer Strata (schema ${version}, this one knows ${migrations.length})`, { code: 'store.newerSchema', kind: 'refused', advice: 'install the newer Strata again, or put back the backup made before its first start' });
  }
  if (version === migrations.length) return;
  const copy = `${path}.before-${migrations.length}`;
  rmSync(copy, { force: true });
  database.prepare('VACUUM INTO ?').run(copy);
  migrate(database, migrations, version);
}

function migrate(database: DatabaseSync, migrations: readonly string[], from: number): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    for (const one of migrations.slice(from)) database.exec(one);
    database.exec(`PRAGMA user_version = ${migrations.length}`);
    database.exec('COMMIT');
  } catch (thrown) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw thrown;
  }
}

/** Pages, indexes, and the checksum of every record: a flipped bit in a value is damage too. */
function checkWhole(database: DatabaseSync, path: string): void {
  const answers = database.prepare('PRAGMA integrity_check(3)').all().map((row) => String(row['integrity_check']));
  if (answers[0] !== 'ok') throw damagedStore(path, answers.join('; ').slice(0, 300));
  const revision = Number(database.prepare("SELECT value FROM counter WHERE name = 'revision'").get()?.['value'] ?? Number.NaN);
  if (!Number.isSafeInteger(revision)) throw damagedStore(path, 'its revision counter is missing');
  for (const row of database.prepare('SELECT key, value, revision, created, checksum FROM record').iterate()) {
    const key = String(row['key']);
    if (checksumOf(key, String(row['value']), Number(row['revision']), Number(row['created'])) !== Number(row['checksum'])) throw damagedStore(path, `record ${key} does not match its checksum`);
    if (Number(row['revision']) > revision) throw damagedStore(path, `record ${key} is newer than the store itself`);
  }
  const differing = database.prepare('SELECT key FROM change JOIN record USING (key, revision) WHERE change.value IS NOT record.value LIMIT 1').get();
  if (differing !== undefined) throw damagedStore(path, `the history of record ${String(differing['key'])} does not match the record`);
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
}

/** Names the process that holds the lock, as the kernel lists it (/proc/locks). */
function withHolder(error: StrataError, path: string): StrataError {
  try {
    const inode = statSync(path).ino;
    const line = readFileSync('/proc/locks', 'utf8').split('\n').find((one) => one.includes(`:${inode} `));
    const pid = line === undefined ? undefined : /(?:READ|WRITE)\s+(\d+)/.exec(line)?.[1];
    if (pid === undefined) return error;
    return new StrataError(`the store ${path} is in use by process ${pid}`, { code: error.code, kind: error.kind, advice: 'one daemon owns the store: stop the other one first', details: { pid: Number(pid) }, cause: error.cause });
  } catch {
    return error; // the lock was let go meanwhile; what SQLite said still stands
  }
}
