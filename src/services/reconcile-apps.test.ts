/** What the controller of apps leaves behind of an app that is forgotten: nothing. */
import { deepEqual, equal } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog, systemClock } from '#base';
import { containerSpecSchema, containerStatusSchema, volumeSchema } from '#containers';
import { machineSpecSchema } from '#machines';
import { openAddresses, openPorts } from '#pool';
import { recordsOf } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { appRecordSchema, appStatusSchema, serviceRecordSchema, serviceTemplateSchema } from './app-record.ts';
import type { AppPerformer } from './perform-app-plan.ts';
import { appsController } from './reconcile-apps.ts';
import { sampleApp, sampleService } from './testing/sample-app.ts';

test('[V25] a status does not outlive its forgotten app, also where the last look wrote it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-apps-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  t.after(async () => { await store.close(); rmSync(folder, { recursive: true }); });
  const ports = openPorts(store, async () => true);
  const apps = recordsOf(store, 'app', appRecordSchema);
  const performer = {
    apps, appStatuses: recordsOf(store, 'app-status', appStatusSchema), services: recordsOf(store, 'service', serviceRecordSchema), templates: recordsOf(store, 'service-template', serviceTemplateSchema), machineSpecs: recordsOf(store, 'machine', machineSpecSchema),
    containers: { specs: recordsOf(store, 'container', containerSpecSchema), statuses: recordsOf(store, 'container-status', containerStatusSchema), volumes: recordsOf(store, 'volume', volumeSchema) },
    ports, addresses: openAddresses(store, { subnet: 93 }),
  } as unknown as AppPerformer;
  const controller = appsController({ store, performer, sessions: async () => new Map(), host: { processors: 2, maxDisks: { qemu: 255, uml: 15 } }, clock: systemClock, log: silentLog });
  await apps.put('aapp', sampleApp([sampleService('web')], { wanted: 'down' }));
  await ports.take('app/aapp', 8080, 'tcp');
  const place = { appId: 'aapp', appName: 'shop', name: 'web', virtualAddress: '10.93.128.1', parking: {} };
  await performer.services.put('aapp.web', place);
  await controller.reconcile('aapp', new AbortController().signal);
  equal((await performer.appStatuses.list()).length, 1, 'while it goes, it has one');
  await controller.reconcile('aapp', new AbortController().signal);
  deepEqual((await store.list('')).entries, []);
});
