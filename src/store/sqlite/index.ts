/** Side door of the SQLite driver; only programs open it. */
export { openSqliteStore, type SqliteStoreOptions } from './open-sqlite-store.ts';
