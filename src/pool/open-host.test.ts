/** This host as a record, over a real store. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { hostArchitecture, silentLog, systemClock, systemDice } from '#base';
import { openSqliteStore } from '#store/sqlite';
import { changedNoticeably, openHost, type OpenHostDeps } from './open-host.ts';
import { sampleHost } from './testing/sample-host.ts';

async function depsOf(t: TestContext): Promise<OpenHostDeps> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-host-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  t.after(async () => { await store.close(); rmSync(folder, { recursive: true }); });
  return {
    instance: { name: 'thost', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 92 }, store, clock: systemClock, dice: systemDice, log: silentLog,
    proofs: () => Promise.resolve([{ architecture: hostArchitecture, engine: 'qemu', accelerator: 'tcg', works: true, evidence: 'ran' }]),
    promised: () => Promise.resolve({ machines: 0, processors: 0, memoryMiB: 0, diskBytes: 0 }),
  };
}

test('[P9] the id stays, a draining host stays one, and a damaged id is refused', async (t) => {
  const deps = await depsOf(t);
  const first = await openHost(deps);
  await first.drain(true);
  await first.stop();
  const second = await openHost(deps);
  deepEqual([second.id, (await second.refresh()).state, (await second.hosts.list()).length], [first.id, 'draining', 1]);
  await rejects(second.admit({ architecture: hostArchitecture, processors: 1, memoryMiB: 64, diskBytes: 0, engine: 'auto' }), { code: 'pool.hostFull', message: /is draining/ });
  await second.drain(false);
  equal(await second.admit({ architecture: hostArchitecture, processors: 1, memoryMiB: 64, diskBytes: 0, engine: 'auto' }), first.id);
  await second.stop();
  writeFileSync(join(deps.instance.stateDir, 'host-id'), 'nonsense');
  await rejects(openHost(deps), { code: 'pool.badHostId' });
});

test('[P9] what is seen is this host', async (t) => {
  const host = await openHost(await depsOf(t));
  const seen = await host.observe();
  ok(seen.processors.count >= 1 && seen.memory.totalMiB > seen.memory.availableMiB && seen.disk.freeBytes <= seen.disk.totalBytes && seen.bootedAt < Date.now());
  match(seen.kernel, /^\d+\./);
  equal(seen.architecture, hostArchitecture);
  await host.stop();
});

test('[P9] small moves of live figures are no change of the record, other things are', () => {
  const before = sampleHost('h1');
  equal(changedNoticeably(before, { ...before, observedAt: 99, memory: { ...before.memory, availableMiB: 7900 } }), false);
  equal(changedNoticeably(before, { ...before, memory: { ...before.memory, availableMiB: 5000 } }), true);
  equal(changedNoticeably(before, { ...before, bootId: 'another' }), true);
});
