/**
 * Typed access to the records of one kind. What is read is validated too: a record that does not fit its
 * schema is reported by its key, never passed on.
 */
import type { z } from 'zod';
import { StrataError } from '#base';
import type { Compare, Store, Write } from './store.ts';

/** One typed record. */
export interface RecordEntry<T> {
  readonly id: string;
  readonly key: string;
  readonly value: T;
  readonly revision: number;
  readonly created: number;
}

/** One typed change; `value` is undefined for a deletion. */
export interface RecordChange<T> {
  readonly id: string;
  readonly value: T | undefined;
  readonly revision: number;
}

/** Condition of a write: the record has this revision, or (0) does not exist. */
export interface WriteCondition { readonly ifRevision?: number }

export interface Records<T> {
  readonly kind: string;
  key(id: string): string;
  get(id: string): Promise<RecordEntry<T> | undefined>;
  list(): Promise<readonly RecordEntry<T>[]>;
  /** The list with the store's revision, to watch from. */
  snapshot(): Promise<{ readonly entries: readonly RecordEntry<T>[]; readonly revision: number }>;
  /** Returns the new revision. @throws StrataError `store.conflict` where the condition does not hold */
  put(id: string, value: T, condition?: WriteCondition): Promise<number>;
  /**
   * Reads, changes, writes with compare, again on conflict. Returning the same value writes nothing;
   * returning undefined deletes (or leaves absent). Resolves with the value that now stands.
   */
  update(id: string, change: (before: T | undefined) => T | undefined): Promise<T | undefined>;
  /** False where it was not there. @throws StrataError `store.conflict` */
  delete(id: string, condition?: WriteCondition): Promise<boolean>;
  watch(afterRevision: number, signal: AbortSignal): AsyncIterable<RecordChange<T>>;
  /** A validated write, for transactions over several records. */
  putWrite(id: string, value: T): Write;
}

const updateAttempts = 50;

/** Records with keys `<kind>/<id>` and values of the schema. */
export function recordsOf<T>(store: Store, kind: string, schema: z.ZodType<T>): Records<T> {
  const prefix = `${kind}/`;
  const key = (id: string): string => prefix + id;

  const read = (at: string, value: unknown): T => {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw new StrataError(`record ${at} does not have the form of a ${kind}: ${issuesOf(parsed.error)}`, { code: 'store.badRecord', kind: 'internal', advice: 'it was written by another version of Strata; restore a backup of the store or remove the record', details: { key: at } });
  };
  const entryOf = (one: { readonly key: string; readonly value: unknown; readonly revision: number; readonly created: number }): RecordEntry<T> =>
    ({ id: one.key.slice(prefix.length), key: one.key, value: read(one.key, one.value), revision: one.revision, created: one.created });

  const putWrite = (id: string, value: T): Write => {
    const parsed = schema.safeParse(value);
    if (!parsed.success) throw new StrataError(`${key(id)} is not a ${kind}: ${issuesOf(parsed.error)}`, { code: 'store.badValue', kind: 'invalid' });
    return { put: key(id), value: parsed.data };
  };
  const commit = async (id: string, write: Write, condition: WriteCondition | undefined): Promise<number> => {
    const result = await store.transact({ compare: compareOf(key(id), condition?.ifRevision), writes: [write] });
    if (!result.committed) throw conflict(key(id));
    return result.revision;
  };

  const snapshot = async () => {
    const { entries, revision } = await store.list(prefix);
    return { entries: entries.map(entryOf), revision };
  };

  return {
    kind, key, putWrite, snapshot,
    async get(id) {
      const one = await store.get(key(id));
      return one === undefined ? undefined : entryOf(one);
    },
    list: async () => (await snapshot()).entries,
    put: async (id, value, condition) => commit(id, putWrite(id, value), condition),
    async update(id, change) {
      for (let attempt = 0; attempt < updateAttempts; attempt += 1) {
        const found = await store.get(key(id));
        const before = found === undefined ? undefined : entryOf(found);
        const after = change(before?.value);
        if (after === before?.value) return after;
        const write: Write = after === undefined ? { delete: key(id) } : putWrite(id, after);
        const result = await store.transact({ compare: compareOf(key(id), before?.revision ?? 0), writes: [write] });
        if (result.committed) return after;
      }
      throw conflict(key(id));
    },
    async delete(id, condition) {
      if ((await store.get(key(id))) === undefined && (condition?.ifRevision ?? 0) === 0) return false;
      await commit(id, { delete: key(id) }, condition);
      return true;
    },
    async *watch(afterRevision, signal) {
      for await (const change of store.watch(prefix, afterRevision, signal)) {
        yield { id: change.key.slice(prefix.length), value: change.value === undefined ? undefined : read(change.key, change.value), revision: change.revision };
      }
    },
  };
}

function compareOf(key: string, revision: number | undefined): Compare[] {
  if (revision === undefined) return [];
  return [revision === 0 ? { key, absent: true } : { key, revision }];
}

function conflict(key: string): StrataError {
  return new StrataError(`${key} was changed by somebody else`, { code: 'store.conflict', kind: 'conflict', advice: 'look at it again and repeat the change', details: { key } });
}

function issuesOf(error: z.ZodError): string {
  return error.issues.slice(0, 3).map((issue) => `${issue.path.join('.') || 'value'}: ${issue.message}`).join('; ');
}
