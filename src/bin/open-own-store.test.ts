/** Who owns the store when one daemon ends and the next begins. */
import { equal, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { silentLog, systemClock } from '#base';
import { openSqliteStore } from '#store/sqlite';
import { openOwnStore } from './open-own-store.ts';

function storePath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'strata-own-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'store.db');
}

test('[L16] a daemon that ends is waited for; one that answers, or never lets go, is not', async (t) => {
  const path = storePath(t);
  const earlier = await openSqliteStore({ path });
  const options = { path, clock: systemClock, log: silentLog };
  await rejects(openOwnStore({ ...options, isServed: async () => true }), { code: 'store.locked' });
  await rejects(openOwnStore({ ...options, isServed: async () => false, limitMs: 1 }), { code: 'store.locked' });
  let looks = 0;
  // It lets go while the next one looks for the second time.
  const later = await openOwnStore({ ...options, isServed: async () => { looks += 1; if (looks === 2) await earlier.close(); return false; } });
  equal(looks, 2);
  await later.close();
});
