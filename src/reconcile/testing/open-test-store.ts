/** A real store in a folder of its own, gone with the test; it can be closed and opened as by a later daemon. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Store } from '#store';
import { openSqliteStore } from '#store/sqlite';

export interface TestStore {
  store: Store;
  /** Closes the store and opens it again. */
  reopen(): Promise<Store>;
}

export async function openTestStore(t: TestContext, options: { readonly historyChanges?: number } = {}): Promise<TestStore> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-test-store-'));
  const open = () => openSqliteStore({ path: join(folder, 'store.db'), ...options });
  const opened: TestStore = {
    store: await open(),
    async reopen() {
      await opened.store.close();
      opened.store = await open();
      return opened.store;
    },
  };
  t.after(async () => {
    await opened.store.close();
    rmSync(folder, { recursive: true });
  });
  return opened;
}
