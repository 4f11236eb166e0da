/** Stop, start, restart and revival of containers: wishes over a real store, the containers controller played by hand. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock, waitUntil } from '#base';
import { containerSpecSchema, containerStatusSchema, type Containers, type ContainerStatus } from '#containers';
import { machineSpecSchema } from '#machines';
import { openAddresses } from '#pool';
import { recordsOf } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { checkServices, restartContainers, reviveContainers, startContainers, stopContainers, type ChangeDeps } from './change-containers.ts';
import { sampleApp, sampleContainer, sampleMachine, sampleService, sampleStatus } from './testing/sample-app.ts';

const app = sampleApp([sampleService('web'), sampleService('job'), sampleService('db')]);

async function open(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-change-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  t.after(async () => { await store.close(); rmSync(folder, { recursive: true }); });
  const specs = recordsOf(store, 'container', containerSpecSchema);
  const statuses = recordsOf(store, 'container-status', containerStatusSchema);
  const addresses = openAddresses(store, { subnet: 93 });
  const restarted: string[] = [];
  let run: (id: string) => Promise<unknown> = async () => undefined;
  const containers = { specs, statuses, restart: async (id: string) => { restarted.push(id); await run(id); } } as unknown as Containers;
  const machineSpecs = recordsOf(store, 'machine', machineSpecSchema);
  const deps: ChangeDeps = { containers, machineSpecs, addresses, clock: systemClock };
  const said: string[] = [];
  const steps = { step: async <T>(name: string, body: (say: (message: string) => void) => Promise<T>): Promise<T> => { said.push(name); return body(() => undefined); }, warn: () => undefined };
  const end = new AbortController();
  return {
    deps, specs, statuses, machineSpecs, addresses, restarted, said, steps, end,
    request: (...services: string[]) => ({ app, services, signal: end.signal }),
    whenRestarted(work: (id: string) => Promise<unknown>) { run = work; },
    async add(service: string, index: number, status: Partial<ContainerStatus>, changes: Parameters<typeof sampleContainer>[2] = {}) {
      const spec = sampleContainer(service, index, changes);
      await addresses.allocate('endpoint', `container/${spec.id}`, () => [specs.putWrite(spec.id, spec)]);
      await statuses.put(spec.id, sampleStatus(spec, status));
    },
    become: (id: string, change: Partial<ContainerStatus>) => statuses.update(id, (before) => (before === undefined ? before : { ...before, ...change })),
    wanted: async (id: string, wanted: string) => waitUntil(async () => (await specs.get(id))?.value.wanted === wanted, { what: `${id} is wished ${wanted}`, limitMs: 5000 }),
  };
}

test('[V27] the start of a job that ends at once is done with its end, and not before', async (t) => {
  const { deps, add, become, wanted, steps, request } = await open(t);
  await add('job', 1, { phase: 'exited', exitCode: 143, stopped: true, startedAt: 5 }, { wanted: 'stopped' });
  let done = false;
  const started = startContainers(deps, request('job'), steps).then(() => { done = true; });
  await wanted('cjob1', 'running');
  await become('cjob1', { phase: 'starting' });
  equal(done, false);
  await become('cjob1', { phase: 'exited', exitCode: 0, stopped: false, startedAt: 6 });
  await started;
});

test('[V27] so is its restart; the end of the run before is none', async (t) => {
  const { deps, add, become, whenRestarted, restarted, steps, request, end } = await open(t);
  await add('job', 1, { phase: 'exited', exitCode: 0, startedAt: 5 });
  whenRestarted((id) => become(id, { startedAt: 6 }));
  await restartContainers(deps, request('job'), steps);
  whenRestarted(async () => { setImmediate(() => end.abort(new Error('it waits'))); });
  await rejects(restartContainers(deps, request('job'), steps), /it waits/);
  deepEqual(restarted, ['cjob1', 'cjob1']);
});

test('[V27] replicas are restarted one after the other, what was stopped is started, others are left alone', async (t) => {
  const { deps, add, become, wanted, whenRestarted, restarted, said, specs, steps, request } = await open(t);
  for (const index of [2, 1]) await add('web', index, {});
  await add('web', 3, { phase: 'exited', stopped: true }, { wanted: 'stopped' });
  await add('web', 4, {}, { draining: true });
  await add('db', 1, {});
  whenRestarted((id) => become(id, { startedAt: 9 }));
  const all = restartContainers(deps, request('web'), steps);
  await wanted('cweb3', 'running');
  await become('cweb3', { phase: 'running', startedAt: 9 });
  await all;
  deepEqual([restarted, said, (await specs.get('cdb1'))?.value.generation], [['cweb1', 'cweb2'], ['restart shop-web-1', 'restart shop-web-2', 'restart shop-web-3'], 1]);
});

test('[V27] a stop is done when it has ended, and wishes nothing twice', async (t) => {
  const { deps, add, become, wanted, specs, steps, request } = await open(t);
  await add('web', 1, {});
  const stopped = stopContainers(deps, request(), steps);
  await wanted('cweb1', 'stopped');
  await become('cweb1', { phase: 'exited', stopped: true });
  await stopped;
  await stopContainers(deps, request(), steps);
  equal((await specs.get('cweb1'))?.value.generation, 2);
});

test('[V27] a service the app does not have is refused', () => {
  checkServices(app, ['web', 'db']);
  try { checkServices(app, ['nothing']); } catch (thrown) { equal((thrown as { code: string }).code, 'service.notFound'); return; }
  throw new Error('it was not refused');
});

test('[V30] what ended badly begins anew with another address, what was stopped runs again, all else stays', async (t) => {
  const { deps, add, specs, addresses } = await open(t);
  await add('web', 1, { phase: 'exited', exitCode: 1 });
  await add('web', 2, { phase: 'waiting', restarts: 3, exitCode: 1 });
  await add('web', 3, { phase: 'waiting', restarts: 2, exitCode: 1 });
  await add('web', 4, { phase: 'exited', exitCode: 143, stopped: true }, { wanted: 'stopped' });
  await add('job', 1, { phase: 'exited', exitCode: 0 });
  await add('db', 1, { phase: 'exited', exitCode: 1 });
  equal(await reviveContainers(deps, 'aapp', new Set(['web', 'job'])), true);
  deepEqual((await specs.list()).map((one) => `${one.id} ${one.value.wanted} ${one.value.generation}`), ['cdb1 running 1', 'cjob1 running 1', 'cweb3 running 1', 'cweb4 running 2']);
  deepEqual((await addresses.list()).map((one) => one.owner).sort(), ['container/cdb1', 'container/cjob1', 'container/cweb3', 'container/cweb4']);
  equal(await reviveContainers(deps, 'aapp', new Set(['web', 'job'])), false);
});

for (const wanted of ['stopped', 'suspended', 'paused'] as const) {
  test(`[V30] a machine that was ${wanted} by hand runs again at \`up\`, and only those of the services it is about`, async (t) => {
    const { deps, add, machineSpecs } = await open(t);
    await machineSpecs.put('m1', sampleMachine({ wanted }));
    await machineSpecs.put('m2', sampleMachine({ id: 'm2', name: 'shop-x86-64-2', wanted }));
    await add('web', 1, { phase: 'running' }, { machineId: 'm1' });
    await add('db', 1, { phase: 'running' }, { machineId: 'm2' });
    equal(await reviveContainers(deps, 'aapp', new Set(['web'])), true);
    deepEqual((await machineSpecs.list()).map((one) => `${one.id} ${one.value.wanted} ${one.value.generation}`), ['m1 running 2', `m2 ${wanted} 1`]);
    equal(await reviveContainers(deps, 'aapp', new Set(['web'])), false);
  });
}

test('[V27] a start waits for a container whose machine was stopped below it', async (t) => {
  const { deps, add, become, machineSpecs, said, steps, request } = await open(t);
  await machineSpecs.put('m1', sampleMachine({ wanted: 'stopped' }));
  await add('web', 1, { phase: 'exited', exitCode: 137, startedAt: 5 }, { machineId: 'm1' });
  const started = startContainers(deps, request('web'), steps);
  await waitUntil(async () => (await machineSpecs.get('m1'))?.value.wanted === 'running', { what: 'the machine is wished running', limitMs: 5000 });
  await become('cweb1', { phase: 'running', exitCode: null, startedAt: 6 });
  await started;
  deepEqual(said, ['start shop-web-1']);
});
