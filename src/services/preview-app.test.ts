/** A preview is what the planner would do, to its end. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { AppObserved } from './app-observed.ts';
import { previewApp } from './preview-app.ts';
import { sampleApp, sampleContainer, sampleMachine, sampleService, sampleStatus } from './testing/sample-app.ts';

const host = { processors: 2, maxDisks: { qemu: 255, uml: 15 } };
const db = sampleService('db', { mounts: [{ kind: 'volume', volume: 'data', target: '/data', readOnly: false }] });
const job = sampleService('setup', { restart: { policy: 'no' }, dependsOn: [{ service: 'db', condition: 'healthy', required: true, restart: false }] });
const web = sampleService('web', { dependsOn: [{ service: 'setup', condition: 'completed', required: true, restart: false }] });
const running = (...names: string[]): AppObserved => ({
  machines: [{ spec: sampleMachine(), status: undefined }], volumes: [{ id: 'v1', name: 'shop_data', appId: 'aapp', appName: 'shop', key: 'data', sizeBytes: 1, createdAt: 0 }], sessions: new Map(), host,
  containers: names.map((name) => { const spec = sampleContainer(name, 1); return { spec, status: sampleStatus(spec, { health: 'healthy' }) }; }),
  services: names.map((name) => ({ appId: 'aapp', appName: 'shop', name, virtualAddress: '10.88.128.1', parking: {} })), configDigests: new Map(names.map((name) => [name, `wish-${name}`])),
});

test('[V28] a new app, in the order of what needs what', () => {
  deepEqual(previewApp(sampleApp([db, job, web]).spec, {}, undefined, undefined, host), [
    'reserve a virtual address for service db', 'reserve a virtual address for service setup', 'reserve a virtual address for service web', 'make volume shop_data',
    'make machine shop-x86-64 (x86_64, 2 processors, 1024 MiB)', 'create container shop-db-1', 'create container shop-setup-1', 'create container shop-web-1',
  ]);
});

test('[V28] what is as the file says needs nothing; what changed is replaced, alone', () => {
  const alone = sampleService('web');
  const record = sampleApp([db, alone]);
  const seen = running('db', 'web');
  deepEqual(previewApp(record.spec, {}, record, seen, host), []);
  const changed = sampleApp([db, { ...alone, environment: { A: 'b' } }]).spec;
  deepEqual(previewApp(changed, {}, record, seen, host).map((line) => line.replace('cweb1', 'X')), ['create container shop-web-1', 'drain container X: its successor is ready', 'remove container X: it has drained']);
  deepEqual(seen, running('db', 'web'), 'the picture it was given is not touched');
});

test('[V28] what the file no longer has goes', () => {
  const lines = previewApp(sampleApp([db]).spec, {}, sampleApp([db, web]), running('db', 'web'), host);
  deepEqual(lines, ['send no more traffic to container shop-web-1', 'remove container shop-web-1', 'give back the virtual address of service web']);
});

test('[V40] further replicas of a service that allows it are clones of the first', () => {
  const service = sampleService('web', { replicas: 3, start: 'clone', isolation: 'dedicated' });
  deepEqual(previewApp(sampleApp([service]).spec, {}, undefined, undefined, host), [
    'reserve a virtual address for service web', 'make machine shop-web-1 (x86_64, 1 processors, 320 MiB)', 'create container shop-web-1', 'make a template of shop-web-1',
    'make machine shop-web-2 (x86_64, 1 processors, 320 MiB, as a clone)', 'make machine shop-web-3 (x86_64, 1 processors, 320 MiB, as a clone)', 'create container shop-web-2', 'create container shop-web-3',
  ]);
});
