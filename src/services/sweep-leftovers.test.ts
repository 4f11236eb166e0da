/** Rule V20: what a daemon that died had taken and nobody owns is given back; what somebody owns stays. */
import { deepEqual } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { containerSpecSchema } from '#containers';
import { machineSpecSchema } from '#machines';
import { openAddresses, openPorts } from '#pool';
import { recordsOf } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { appRecordSchema, serviceRecordSchema } from './app-record.ts';
import { sweepLeftovers } from './sweep-leftovers.ts';
import { sampleApp, sampleContainer, sampleMachine, sampleService } from './testing/sample-app.ts';

test('[V20] ports and addresses without a record go, all others stay', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-sweep-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  t.after(async () => { await store.close(); rmSync(folder, { recursive: true }); });
  const deps = {
    apps: recordsOf(store, 'app', appRecordSchema), places: recordsOf(store, 'service', serviceRecordSchema), machineSpecs: recordsOf(store, 'machine', machineSpecSchema),
    containers: { specs: recordsOf(store, 'container', containerSpecSchema) }, addresses: openAddresses(store, { subnet: 93 }), ports: openPorts(store, async () => true),
  };
  await deps.apps.put('aapp', sampleApp([sampleService('web', { ports: [{ hostAddress: '0.0.0.0', hostPort: 8080, containerPort: 80, protocol: 'tcp', application: 'http' }] })]));
  await deps.places.put('aapp.web', { appId: 'aapp', appName: 'shop', name: 'web', virtualAddress: '10.93.128.1', parking: {} });
  await deps.machineSpecs.put('m1', sampleMachine());
  await deps.containers.specs.put('cweb1', sampleContainer('web', 1));
  const owned = ['service/aapp.web', 'machine/m1', 'container/cweb1'];
  for (const owner of [...owned, 'service/aapp.old', 'machine/mlost', 'container/clost', 'edge/names']) await deps.addresses.allocate(owner.startsWith('service/') ? 'service' : 'endpoint', owner);
  for (const [owner, port] of [['app/aapp', 8080], ['app/aapp', 8081], ['app/alost', 9090], ['gateway/hosts', 8000]] as const) await deps.ports.take(owner, port, 'tcp');
  for (let time = 1; time <= 2; time += 1) {
    await sweepLeftovers(deps);
    deepEqual((await deps.addresses.list()).map((one) => one.owner).sort(), [...owned, 'edge/names'].sort());
    deepEqual((await deps.ports.list()).map((one) => `${one.owner} ${one.port}`).sort(), ['app/aapp 8080', 'gateway/hosts 8000']);
  }
});
