/** What many lives of machines and containers cost the daemon. */
import assert from 'node:assert/strict';
import { waitUntil } from '#base';
import { weigh, type ProcessWeight } from './census.ts';
import type { TestInstance } from './test-instance.ts';

/** What the daemon weighs now. */
export async function daemonWeight(strata: TestInstance): Promise<ProcessWeight> {
  const daemon = await strata.daemon();
  assert.ok(daemon !== undefined);
  return weigh(daemon.pid);
}

/** Descriptors come and go with connections, so it is their level that may not rise. @throws Error with what the descriptors lead to */
export async function descriptorsAreBack(strata: TestInstance, before: ProcessWeight): Promise<void> {
  const most = before.descriptors.length + 2;
  let seen = before.descriptors;
  await waitUntil(async () => (seen = (await daemonWeight(strata)).descriptors).length <= most || undefined, { what: 'descriptors are as few as before', limitMs: 15_000, everyMs: 200 })
    .catch(() => assert.fail(`${before.descriptors.length} → ${seen.length} descriptors:\n${before.descriptors.toSorted().join('\n')}\n→\n${seen.toSorted().join('\n')}`));
}
