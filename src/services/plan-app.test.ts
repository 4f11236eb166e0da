/** Rules V10–V17: what an app needs next, and in which order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppObserved } from './app-observed.ts';
import { planApp } from './plan-app.ts';
import { sampleApp, sampleContainer, sampleMachine, sampleService, sampleStatus } from './testing/sample-app.ts';

const nothing: AppObserved = { containers: [], machines: [], volumes: [], services: [], sessions: new Map(), host: { processors: 2, maxDisks: { qemu: 255, uml: 15 } }, configDigests: new Map([['web', 'wish-web'], ['db', 'wish-db'], ['arm', 'wish-arm']]) };
const place = (name: string) => ({ appId: 'aapp', appName: 'shop', name, virtualAddress: '10.88.128.1', parking: {} });
const volume = { id: 'v1', name: 'shop_data', appId: 'aapp', appName: 'shop', key: 'data', sizeBytes: 1, createdAt: 0 };
const machine = { spec: sampleMachine(), status: undefined };
const kinds = (plan: { readonly operations: readonly { readonly kind: string }[] }) => plan.operations.map((operation) => operation.kind);
const up = (service: string, index: number, health: 'none' | 'healthy' | 'starting' | 'unhealthy' = 'none') => {
  const spec = sampleContainer(service, index);
  return { spec, status: sampleStatus(spec, { health }) };
};

test('[V10] first places, volumes and machines, then containers', () => {
  const app = sampleApp([sampleService('web', { replicas: 2 }), sampleService('db', { mounts: [{ kind: 'volume', volume: 'data', target: '/data', readOnly: false }] })]);
  assert.deepEqual(kinds(planApp(app, nothing, 0)), ['service.place', 'service.place', 'volume.create', 'machine.create']);
  const next = planApp(app, { ...nothing, services: [place('web'), place('db')], volumes: [volume], machines: [machine] }, 0);
  assert.deepEqual(kinds(next), ['container.create', 'container.create', 'container.create']);
});

test('[V11] one machine for each architecture; it boots while dependencies are awaited', () => {
  const app = sampleApp([sampleService('db'), sampleService('web', { dependsOn: [{ service: 'db', condition: 'healthy', required: true, restart: false }] }), sampleService('arm', { architecture: 'aarch64', dependsOn: [{ service: 'web', condition: 'started', required: true, restart: false }] })]);
  const machines = planApp(app, { ...nothing, services: [place('web'), place('db'), place('arm')] }, 0).operations.filter((operation) => operation.kind === 'machine.create');
  assert.deepEqual(machines.map((operation) => operation.kind === 'machine.create' && operation.machine.architecture), ['x86_64', 'aarch64']);
});

test('[V12] a service starts when its dependencies hold, and says what it waits for', () => {
  const app = sampleApp([sampleService('db'), sampleService('web', { dependsOn: [{ service: 'db', condition: 'healthy', required: true, restart: false }] })]);
  const there = { ...nothing, services: [place('web'), place('db')], machines: [machine] };
  const waiting = planApp(app, { ...there, containers: [up('db', 1, 'starting')] }, 0);
  assert.deepEqual(kinds(waiting), []);
  assert.deepEqual(waiting.services.map((service) => [service.name, service.state, service.why]), [['db', 'starting', 'machine shop-x86-64 starts'], ['web', 'waiting', 'it starts when db is healthy']]);
  assert.deepEqual(kinds(planApp(app, { ...there, containers: [up('db', 1, 'healthy')] }, 0)), ['container.create']);
});

test('[V13] an app that is as wished is settled and needs nothing', () => {
  const app = sampleApp([sampleService('web')]);
  const plan = planApp(app, { ...nothing, services: [place('web')], machines: [machine], containers: [up('web', 1)] }, 0);
  assert.equal(plan.settled, true);
  assert.deepEqual(plan.operations, []);
});

test('[V14] what the file no longer names goes; volumes stay', () => {
  const app = sampleApp([sampleService('web')]);
  const plan = planApp(app, { ...nothing, services: [place('web'), place('old')], volumes: [volume], machines: [machine], containers: [up('web', 1), up('old', 1)] }, 0);
  assert.deepEqual(kinds(plan), ['container.drain']);
  const gone = planApp(app, { ...nothing, services: [place('web'), place('old')], volumes: [volume], machines: [machine], containers: [up('web', 1)] }, 0);
  assert.deepEqual(kinds(gone), ['service.unplace']);
});

test('[V15] down drains and removes containers, then machines, then places, and data only when asked', () => {
  const app = sampleApp([sampleService('web')], { wanted: 'down' });
  const all = { ...nothing, services: [place('web')], volumes: [volume], machines: [machine], containers: [up('web', 1)] };
  assert.deepEqual(kinds(planApp(app, all, 0)), ['container.drain']);
  const draining = { spec: { ...up('web', 1).spec, draining: true, drainingSince: 0 }, status: up('web', 1).status };
  assert.deepEqual(kinds(planApp(app, { ...all, containers: [draining] }, 1000)), ['container.delete']);
  assert.deepEqual(kinds(planApp(app, { ...all, containers: [] }, 0)), ['machine.delete', 'service.unplace']);
  assert.deepEqual(kinds(planApp(app, { ...nothing, volumes: [volume] }, 0)), ['app.forget']);
  assert.deepEqual(kinds(planApp({ ...app, removeVolumes: true }, { ...nothing, volumes: [volume] }, 0)), ['volume.delete']);
});

test('[V16] a service that fails says which container, how, and with what last output', () => {
  const app = sampleApp([sampleService('web')]);
  const bad = up('web', 1, 'unhealthy');
  const status = { ...bad.status, lastProbe: { at: 1, ok: false, output: 'connection refused' } };
  const runs = { spec: machine.spec, status: undefined };
  const plan = planApp(app, { ...nothing, services: [place('web')], machines: [runs], containers: [{ spec: bad.spec, status }] }, 0);
  assert.deepEqual(plan.services.map((service) => [service.state, service.why]), [['failed', 'shop-web-1 is unhealthy: connection refused']]);
  assert.equal(plan.settled, false);
});

test('[V16] what cannot be started is told with the guest\'s reason; a machine that was stopped by hand is no fault of the service', () => {
  const app = sampleApp([sampleService('web')]);
  const spec = sampleContainer('web', 1);
  const status = sampleStatus(spec, { phase: 'exited', exitCode: 125, why: 'serve cannot be started: the image has no such program' });
  const whyIn = (wanted: 'running' | 'stopped') => planApp(app, { ...nothing, services: [place('web')], machines: [{ spec: { ...machine.spec, wanted }, status: undefined }], containers: [{ spec, status }] }, 0).services.map((service) => service.why);
  assert.deepEqual(whyIn('running'), ['shop-web-1 ended with exit code 125: serve cannot be started: the image has no such program']);
  assert.deepEqual(whyIn('stopped'), ['machine shop-x86-64 was stopped']);
});

test('[V16] a machine whose guest is too busy to answer is not said to start', () => {
  const app = sampleApp([sampleService('web')]);
  const status = {
    id: 'm1', phase: 'unknown' as const, why: 'its guest\'s agent does not answer', engine: 'qemu' as const, engineWhy: '', accelerator: 'tcg' as const, isolation: 'emulated' as const,
    process: null, guest: null, startedAt: 1, bootMs: 1, startedBy: null, exit: null, restarts: 0, generation: 1,
  };
  const plan = planApp(app, { ...nothing, services: [place('web')], machines: [{ spec: machine.spec, status }], containers: [up('web', 1, 'starting')] }, 0);
  assert.deepEqual(plan.services.map((service) => service.why), ['machine shop-x86-64: its guest\'s agent does not answer']);
});

test('[V17] a job that ended well counts as done', () => {
  const app = sampleApp([sampleService('web', { restart: { policy: 'no' } })]);
  const spec = sampleContainer('web', 1, { guest: { ...sampleContainer('web', 1).guest, restart: { policy: 'no' } } });
  const plan = planApp(app, { ...nothing, services: [place('web')], machines: [machine], containers: [{ spec, status: sampleStatus(spec, { phase: 'exited', exitCode: 0 }) }] }, 0);
  assert.equal(plan.services[0]?.state, 'completed');
  assert.equal(plan.settled, true);
});

test('[V23] the successor that fits no machine gets one, and it stays until the successor has come', () => {
  const app = sampleApp([sampleService('web', { isolation: 'dedicated' })]);
  const stale = { ...up('web', 1), spec: sampleContainer('web', 1, { configDigest: 'before' }) };
  const shared = { ...nothing, services: [place('web')], machines: [machine], containers: [stale] };
  const first = planApp(app, shared, 0);
  assert.deepEqual(kinds(first), ['machine.create']);
  assert.equal(first.settled, false);
  const own = { spec: sampleMachine({ id: 'm2', name: 'shop-web-1' }), status: undefined };
  const second = planApp(app, { ...shared, machines: [machine, own] }, 0);
  assert.deepEqual(second.operations.map((one) => one.kind === 'container.create' && one.machineId), ['m2']);
  const successor = { ...up('web', 1), spec: sampleContainer('web', 1, { id: 'cnew', machineId: 'm2' }) };
  assert.deepEqual(kinds(planApp(app, { ...shared, machines: [machine, own], containers: [successor] }, 0)), ['machine.delete']);
});

test('[V23] the successor that finds no room beside what it replaces gets a machine', () => {
  const app = sampleApp([sampleService('web', { reservations: { memoryBytes: 700 * 2 ** 20 } })]);
  const spec = sampleContainer('web', 1, { configDigest: 'before', guest: { ...sampleContainer('web', 1).guest, limits: { memoryBytes: 700 * 2 ** 20 } } });
  const plan = planApp(app, { ...nothing, services: [place('web')], machines: [machine], containers: [{ spec, status: sampleStatus(spec) }] }, 0);
  assert.deepEqual(plan.operations.map((one) => one.kind === 'machine.create' && one.machine.name), ['shop-x86-64-2']);
});

test('[V24] a service is not ready while a replica is as it was wished before', () => {
  const app = sampleApp([sampleService('web')]);
  const stale = { ...up('web', 1), spec: sampleContainer('web', 1, { id: 'cold', configDigest: 'before' }) };
  const fresh = (health: 'starting' | 'healthy') => up('web', 1, health);
  const seen = (...containers: AppObserved['containers']) => planApp(app, { ...nothing, services: [place('web')], machines: [machine], containers }, 0);
  for (const plan of [seen(stale), seen(stale, fresh('starting')), seen(stale, fresh('healthy'))]) {
    assert.deepEqual([plan.settled, plan.services[0]?.state, plan.services[0]?.why], [false, 'starting', 'its replicas are being replaced']);
  }
  const draining = { ...stale, spec: { ...stale.spec, draining: true, drainingSince: 0 } };
  assert.equal(seen(draining, fresh('healthy')).services[0]?.state, 'ready', 'what drains is not waited for');
});
