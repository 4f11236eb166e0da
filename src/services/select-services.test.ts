/** What `up` of some services means for the whole app. */
import { deepEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import type { AppSpec, ServiceSpec } from './app.ts';
import { selectServices } from './select-services.ts';
import { sampleApp, sampleService } from './testing/sample-app.ts';

const needs = (service: string, required = true) => [{ service, condition: 'started' as const, required, restart: false }];
const stores = (volume: string): Partial<ServiceSpec> => ({ mounts: [{ kind: 'volume', volume, target: '/data', readOnly: false }] });
const app = (...services: ServiceSpec[]): AppSpec => sampleApp(services).spec;
const file = app(sampleService('web', { dependsOn: needs('db') }), sampleService('db', stores('data')), sampleService('mail'));
const select = (running: AppSpec | undefined, services: readonly string[] = [], removeOrphans = false) => {
  const { app: chosen, orphans } = selectServices(file, running, { services, removeOrphans });
  return { services: chosen.services.map((one) => `${one.name} ${one.image.reference}`), volumes: chosen.volumes.map((one) => one.name), orphans };
};

test('[V29] all of the file, or some with what they need; others are left as they run', () => {
  deepEqual(select(undefined), { services: ['db db:1', 'mail mail:1', 'web web:1'], volumes: ['data'], orphans: [] });
  deepEqual(select(undefined, ['web']), { services: ['db db:1', 'web web:1'], volumes: ['data'], orphans: [] });
  const mail = sampleService('mail', { image: { kind: 'reference', reference: 'mail:0', pullPolicy: 'missing' } });
  deepEqual(select(app(mail), ['db']), { services: ['db db:1', 'mail mail:0'], volumes: ['data'], orphans: [] });
  throws(() => select(undefined, ['nothing']), { code: 'service.notFound' });
});

test('[V29] a dependency that is not required and not in the file is not needed; a circle ends', () => {
  const circle = app(sampleService('a', { dependsOn: [...needs('b'), ...needs('gone', false)] }), sampleService('b', { dependsOn: needs('a') }));
  deepEqual(selectServices(circle, undefined, { services: ['a'], removeOrphans: false }).app.services.map((one) => one.name), ['a', 'b']);
});

test('[V29] an orphan goes on with its volume and is named, until it is asked to go; `up` of some says nothing of it', () => {
  const running = app(sampleService('old', stores('archive')), sampleService('web'));
  deepEqual(select(running), { services: ['db db:1', 'mail mail:1', 'old old:1', 'web web:1'], volumes: ['data', 'archive'], orphans: ['old'] });
  deepEqual(select(running, [], true), { services: ['db db:1', 'mail mail:1', 'web web:1'], volumes: ['data'], orphans: [] });
  deepEqual(select(running, ['mail'], true), { services: ['mail mail:1', 'old old:1', 'web web:1'], volumes: ['archive'], orphans: [] });
});
