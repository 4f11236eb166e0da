/** Which builds of the guest OS go from the cache, and that those in use stay. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Instance } from '#base';
import { ensureGuestOs, sourceKey } from './ensure-guest-os.ts';
import { prunable, pruneGuestOs } from './prune-guest-os.ts';

const dayMs = 24 * 3600_000;

test('[M70] kept are this program\'s build, the last one before it, and what was used within a day', () => {
  const now = 100 * dayMs;
  const build = (name: string, daysAgo: number) => ({ name, usedAt: now - daysAgo * dayMs });
  deepEqual(prunable([build('now', 50), build('before', 40), build('old', 60), build('older', 70)], 'now', now), ['old', 'older']);
  deepEqual(prunable([build('now', 0), build('a', 0.5), build('b', 0.9), build('c', 2)], 'now', now), ['c']);
  deepEqual(prunable([build('a', 90)], 'now', now), []);
});

test('[M70] a build that is used is marked, cut-off builds go, one under way stays', async (t) => {
  const cacheDir = mkdtempSync(join(tmpdir(), 'strata-prune-'));
  t.after(() => rmSync(cacheDir, { recursive: true }));
  const instance: Instance = { name: 'prune', stateDir: cacheDir, runDir: cacheDir, cacheDir, subnet: 0 };
  const home = join(cacheDir, 'guest-os', 'x86_64');
  const make = (name: string, daysAgo: number) => {
    const at = new Date(Date.now() - daysAgo * dayMs);
    mkdirSync(join(home, name), { recursive: true });
    writeFileSync(join(home, name, 'release'), '6.1\n');
    utimesSync(join(home, name, 'release'), at, at);
    utimesSync(join(home, name), at, at);
  };
  const current = await sourceKey('x86_64');
  for (const [name, daysAgo] of [[current, 30], ['before', 20], ['old', 25], ['lately', 0.5], ['.build-cut-off', 3], ['.build-going-on', 0]] as const) make(name, daysAgo);
  equal((await ensureGuestOs('x86_64', { instance })).kernelRelease, '6.1');
  deepEqual([...await pruneGuestOs(instance, Date.now())].sort(), ['x86_64/.build-cut-off', 'x86_64/before', 'x86_64/old']);
  for (const name of [current, 'lately', '.build-going-on']) ok(existsSync(join(home, name)), name);
  deepEqual(await pruneGuestOs(instance, Date.now() + 30 * dayMs), ['x86_64/.build-going-on'], 'this one and the last before it stay for good');
  deepEqual(await pruneGuestOs({ ...instance, cacheDir: join(cacheDir, 'nothing-yet') }, Date.now()), []);
});
