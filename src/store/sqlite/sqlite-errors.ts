/** Turns what SQLite throws into the store's own errors, with the file's name and what to do. */
import { StrataError, type StrataErrorFields } from '#base';

const families: Readonly<Record<number, (path: string) => [string, StrataErrorFields]>> = {
  5: (path) => [`the store ${path} is in use by another process`, { code: 'store.locked', kind: 'refused', advice: 'one daemon owns the store: stop the other one first' }],
  8: (path) => [`the store ${path} cannot be written`, { code: 'store.readOnly', kind: 'unavailable', advice: 'mount its file system writable' }],
  10: (path) => [`reading or writing the store ${path} failed`, { code: 'store.inputOutput', kind: 'unavailable', advice: 'look at the kernel\'s log for errors of the disk' }],
  11: (path) => damaged(path),
  13: (path) => [`no space is left for the store ${path}`, { code: 'store.diskFull', kind: 'exhausted', advice: 'free space on its file system; nothing needs a restart' }],
  14: (path) => [`the store ${path} cannot be opened`, { code: 'store.cannotOpen', kind: 'unavailable', advice: 'look at the permissions of the file and its folder' }],
  26: (path) => damaged(path),
};

function damaged(path: string): [string, StrataErrorFields] {
  return [`the store ${path} is damaged`, { code: 'store.damaged', kind: 'refused', advice: `nothing was changed: keep a copy of ${path} and ${path}-wal, then put a backup in their place` }];
}

/** A store file that says something it should not. */
export function damagedStore(path: string, what: string, cause?: unknown): StrataError {
  const [message, fields] = damaged(path);
  return new StrataError(`${message}: ${what}`, { ...fields, ...(cause === undefined ? {} : { cause }) });
}

/** Any error thrown by node:sqlite about this file. */
export function sqliteError(thrown: unknown, path: string): StrataError {
  if (thrown instanceof StrataError) return thrown;
  const code = typeof thrown === 'object' && thrown !== null && 'errcode' in thrown && typeof thrown.errcode === 'number' ? thrown.errcode & 0xff : undefined;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const family = code === undefined ? undefined : families[code];
  if (family === undefined) return new StrataError(`the store ${path} failed: ${text}`, { code: 'store.failed', kind: 'internal', cause: thrown });
  const [message, fields] = family(path);
  return new StrataError(`${message}: ${text}`, { ...fields, cause: thrown });
}
