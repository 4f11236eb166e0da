/**
 * Ports of apps, taken before anything else of them changes.
 * Mostly waits: for a port that is not let go of.
 */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '#base';
import { openPorts } from '#pool';
import { openSqliteStore } from '#store/sqlite';
import type { PublishedPort } from './app.ts';
import { publishFreedPorts, publishPorts, releaseUnpublished } from './publish-ports.ts';
import { sampleApp, sampleService } from './testing/sample-app.ts';

async function openStore(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-ports-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  t.after(async () => { await store.close(); rmSync(folder, { recursive: true }); });
  return store;
}

const port = (hostPort: number, containerPort = 80): PublishedPort => ({ hostAddress: '0.0.0.0', hostPort, containerPort, protocol: 'tcp', application: 'http' });
const app = (...ports: PublishedPort[]) => sampleApp([sampleService('web', { ports })]).spec;

test('[V18] a port somebody else has is refused and nothing stays taken; port 0 is chosen once', async (t) => {
  const store = await openStore(t);
  const busy = new Set([5001]);
  const ports = openPorts(store, async (one) => !busy.has(one));
  await rejects(publishPorts(ports, 'a1', app(port(5000), port(5001)), undefined), { code: 'pool.portTaken' });
  deepEqual(await ports.list(), []);
  const first = await publishPorts(ports, 'a1', app(port(0), port(5000, 81)), undefined);
  const chosen = first.services[0]?.ports[0]?.hostPort ?? 0;
  equal(chosen > 0, true);
  const second = await publishPorts(ports, 'a1', app(port(0)), first);
  equal(second.services[0]?.ports[0]?.hostPort, chosen);
  await releaseUnpublished(ports, 'a1', second);
  deepEqual((await ports.list()).map((one) => one.port), [chosen]);
});

test('[V19] a port that only the gateway still holds is waited for; one of another program is not taken', async (t) => {
  const store = await openStore(t);
  const busy = new Set([5000]);
  const ports = openPorts(store, async (one) => !busy.has(one));
  let synced = 0;
  const publish = () => publishPorts(ports, 'a1', app(port(5000)), undefined);
  const sync = async () => { synced += 1; if (synced === 2) busy.clear(); };
  equal((await publishFreedPorts(publish, sync, systemClock)).services[0]?.ports[0]?.hostPort, 5000);
  equal(synced, 2);
  busy.add(5001);
  await rejects(publishFreedPorts(() => publishPorts(ports, 'a2', app(port(5001)), undefined), async () => undefined, systemClock), { code: 'pool.portTaken' });
  await rejects(publishFreedPorts(() => publishPorts(ports, 'a2', app(port(5000)), undefined), async () => { throw new Error('not asked'); }, systemClock), { code: 'pool.portTaken' });
});
