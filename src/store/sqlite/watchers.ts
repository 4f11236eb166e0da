/**
 * Feeds watchers of the SQLite store. A watcher holds a place in the history, not a queue: however slow it
 * is, it costs one batch of rows, and reads on from the table when it comes back. Commits wake it.
 */
import { StrataError } from '#base';
import type { Change } from '../store.ts';

/** A row of the history. */
export interface ChangeRow { readonly revision: number; readonly position: number; readonly key: string; readonly value: string | null }

export interface History {
  revision(): number;
  compacted(): number;
  /** Changes after that place with keys of the prefix, oldest first, bounded. */
  read(prefix: string, revision: number, position: number): readonly ChangeRow[];
}

interface Watcher { readonly prefix: string; revision: number; wake: (() => void) | undefined }

export interface Watchers {
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<Change>;
  /** A transaction with these keys was committed as the revision. */
  committed(revision: number, keys: readonly string[]): void;
  close(): void;
}

export function openWatchers(history: History): Watchers {
  const watchers = new Set<Watcher>();
  let closed = false;

  async function* follow(watcher: Watcher, signal: AbortSignal): AsyncGenerator<Change> {
    let position = Number.MAX_SAFE_INTEGER;
    while (!signal.aborted) {
      if (closed) throw new StrataError('the store was closed', { code: 'store.closed', kind: 'unavailable' });
      // In the middle of a transaction its own revision must still be there as well.
      const needed = position === Number.MAX_SAFE_INTEGER ? watcher.revision : watcher.revision - 1;
      if (needed < history.compacted() || watcher.revision > history.revision()) throw compactedError(watcher.revision, history);
      const latest = history.revision();
      const rows = history.read(watcher.prefix, watcher.revision, position);
      for (const row of rows) {
        if (signal.aborted) return;
        watcher.revision = row.revision;
        position = row.position;
        yield { key: row.key, value: row.value === null ? undefined : JSON.parse(row.value), revision: row.revision };
      }
      if (rows.length > 0) continue;
      // All up to `latest` was seen; nothing awaited since, so no commit can have slipped in between.
      watcher.revision = latest;
      position = Number.MAX_SAFE_INTEGER;
      await idle(watcher, signal);
    }
  }

  /** Until a commit concerns the watcher, it is aborted, or the store is closed. */
  function idle(watcher: Watcher, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        watcher.wake = undefined;
        signal.removeEventListener('abort', wake);
        resolve();
      };
      watcher.wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  return {
    async *watch(prefix, afterRevision, signal) {
      const watcher: Watcher = { prefix, revision: afterRevision, wake: undefined };
      watchers.add(watcher);
      try {
        yield* follow(watcher, signal);
      } finally {
        watchers.delete(watcher);
      }
    },
    committed(revision, keys) {
      for (const watcher of watchers) {
        if (watcher.wake === undefined) continue; // busy: it will look at the table itself
        if (keys.some((key) => key.startsWith(watcher.prefix))) watcher.wake();
        else watcher.revision = revision; // keeps an idle watcher clear of compaction
      }
    },
    close() {
      closed = true;
      for (const watcher of watchers) watcher.wake?.();
    },
  };
}

function compactedError(revision: number, history: History): StrataError {
  return new StrataError(revision > history.revision() ? `revision ${revision} is not reached yet: the latest is ${history.revision()}` : `changes after revision ${revision} are not kept any more`, { code: 'store.compacted', kind: 'conflict', advice: 'list again and watch from the list\'s revision', details: { revision, compacted: history.compacted(), latest: history.revision() } });
}
