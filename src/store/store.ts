/**
 * The store's port: revisioned records, transactions with compare, watch from a revision.
 *
 * One revision counter for the whole store grows by one with every committed transaction that changes
 * something. A record carries the revision of its last change. Two drivers (SQLite embedded, etcd for several hosts) pass
 * the same contract suite (store.contract.ts). Rules: RULES.md.
 */

/** `machine/mabcdefghij`: kind, slash, id. Prefixes (`machine/`) list and watch a kind. */
export type Key = string;

export interface Entry {
  readonly key: Key;
  /** A plain JSON value; validated by the layer that owns the kind, not by the store. */
  readonly value: unknown;
  readonly revision: number;
  /** Revision at which the key was created. */
  readonly created: number;
}

export type Compare =
  | { readonly key: Key; readonly revision: number } // the key exists with exactly this revision
  | { readonly key: Key; readonly absent: true };

export type Write =
  | { readonly put: Key; readonly value: unknown }
  | { readonly delete: Key };

export type TransactionResult =
  | { readonly committed: true; readonly revision: number }
  | { readonly committed: false; readonly conflicts: readonly Key[] };

/** One change as seen by a watcher; `value` is undefined for a deletion. */
export interface Change {
  readonly key: Key;
  readonly value: unknown;
  readonly revision: number;
}

export interface Store {
  get(key: Key): Promise<Entry | undefined>;
  /** Entries whose key starts with the prefix, by key, as of one revision. */
  list(prefix: string): Promise<{ readonly entries: readonly Entry[]; readonly revision: number }>;
  /** All writes or none. Durable when it resolves with committed: true. */
  transact(transaction: { readonly compare?: readonly Compare[]; readonly writes: readonly Write[] }): Promise<TransactionResult>;
  /**
   * Every change after `afterRevision` to keys with the prefix, in order, without gaps, until aborted.
   * @throws StrataError `store.compacted` when changes after that revision are no longer kept: list again and watch from there.
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<Change>;
  /** Forgets changes up to and including the revision (records themselves stay). */
  compact(revision: number): Promise<void>;
  close(): Promise<void>;
}
