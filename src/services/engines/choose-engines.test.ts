/** Rules V33 and V34 where an `up` chooses: what is proved, what is asked of containers, and what is kept. */
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { AppRecord } from '../app-record.ts';
import { planApp } from '../plan-app.ts';
import { previewApp } from '../preview-app.ts';
import { sampleApp, sampleContainer, sampleMachine, sampleService, sampleStatus } from '../testing/sample-app.ts';
import { chooseEngines, type ChooseEnginesDeps, type ServiceRunning } from './choose-engines.ts';
import type { EngineOffer } from './choose-service-engine.ts';
import type { Counted } from './workload.ts';

const qemu: EngineOffer = { engine: 'qemu', architecture: 'x86_64', isolation: 'emulated', maxProcessors: 64, maxDisks: 255, cost: null, broken: '' };
const uml: EngineOffer = { engine: 'uml', architecture: 'x86_64', isolation: 'process', maxProcessors: 1, maxDisks: 15, cost: null, broken: '' };
const open = sampleService('web', { leastIsolation: 'process' });
const host = { processors: 2, maxDisks: { qemu: 255, uml: 15 } };

function world(running: Partial<Record<string, { readonly engine: ServiceRunning['engine']; readonly counted: readonly Counted[] }>> = {}) {
  const proved: string[] = [];
  const asked: string[] = [];
  const deps: ChooseEnginesDeps = {
    offers: async (prove) => { proved.push(...prove); return [qemu, uml]; },
    async running(_appId, service) {
      const one = running[service];
      return one === undefined ? undefined : { engine: one.engine, counted: async () => { asked.push(service); return one.counted; } };
    },
  };
  return { deps, proved, asked };
}
const computing = { engine: 'qemu', counted: [{ userNanos: 90e9, systemNanos: 1e9, calls: 1000 }] } as const;

test('[V33] only engines that are asked for or accepted are tried, and containers are asked only where it can count', async () => {
  const plain = world({ web: computing });
  deepEqual(await chooseEngines(plain.deps, sampleApp([sampleService('web')]).spec, [sampleService('web')], sampleApp([sampleService('web')])), { web: { engine: 'qemu', why: 'uml: its isolation is `process`, which the file does not accept (x-strata.least_isolation)' } });
  deepEqual([plain.proved, plain.asked], [[], []]);
  const hinted = world({ web: computing });
  const compute = { ...open, workload: 'compute' } as const;
  equal((await chooseEngines(hinted.deps, sampleApp([compute]).spec, [compute], sampleApp([compute])))['web']?.engine, 'uml');
  deepEqual([hinted.proved, hinted.asked], [['uml'], []]);
  const learning = world({ web: computing });
  const chosen = await chooseEngines(learning.deps, sampleApp([open]).spec, [open], sampleApp([open]));
  equal(chosen['web']?.engine, 'uml');
  match(chosen['web']?.why ?? '', /^by what it did so far UML is/);
  deepEqual(learning.asked, ['web']);
});

test('[V34] another choice moves nothing that runs: the next replica goes there, and the same choice keeps its reason', async () => {
  const record: AppRecord = { ...sampleApp([open]), engines: { web: { engine: 'qemu', why: 'nothing is known' } } };
  const chosen = await chooseEngines(world({ web: computing }).deps, record.spec, [open], record);
  const spec = sampleContainer('web', 1);
  const place = { appId: 'aapp', appName: 'shop', name: 'web', virtualAddress: '10.88.128.1', parking: {} };
  const seen = { containers: [{ spec, status: sampleStatus(spec) }], machines: [{ spec: sampleMachine(), status: undefined }], volumes: [], services: [place], sessions: new Map(), host, configDigests: new Map([['web', 'wish-web']]) };
  deepEqual(planApp({ ...record, engines: chosen }, seen, 0).operations, [], 'it runs as wished');
  const changed = planApp({ ...record, engines: chosen }, { ...seen, configDigests: new Map([['web', 'another']]) }, 0).operations;
  deepEqual(changed.map((one) => one.kind === 'machine.create' && [one.machine.engine, one.machine.processors]), [['uml', 1]]);
  const same = await chooseEngines(world({ web: { engine: 'qemu', counted: [] } }).deps, record.spec, [open], record);
  deepEqual(same, record.engines);
  const hinted = { ...open, workload: 'processes' } as const;
  match((await chooseEngines(world().deps, sampleApp([hinted]).spec, [hinted], record))['web']?.why ?? '', /for its work \(processes\)/, 'another question has another answer');
});

test('[V34] what has data is not moved by what it was seen to do; services that the `up` is not about keep theirs', async () => {
  const db = sampleService('db', { leastIsolation: 'process', mounts: [{ kind: 'volume', volume: 'data', target: '/data', readOnly: false }] });
  const record: AppRecord = { ...sampleApp([db, open]), engines: { db: { engine: 'qemu', why: 'before' }, web: { engine: 'uml', why: 'before' }, gone: { engine: 'uml', why: 'before' } } };
  const chosen = await chooseEngines(world({ db: computing }).deps, record.spec, [db], record);
  deepEqual(chosen, { db: { engine: 'qemu', why: 'before' }, web: { engine: 'uml', why: 'before' } });
});

test('[V33] what no engine can run is refused before anything changes, with each reason; a preview shows the machines', async () => {
  const wide = sampleService('web', { engine: 'uml', limits: { cpus: 2 } });
  await rejects(chooseEngines(world().deps, sampleApp([wide]).spec, [wide], undefined), { code: 'service.noEngine', kind: 'refused', message: 'no engine can run service web: uml: it gives at most 1 processor, and 2 are asked for' });
  const foreign = (['uml', 'auto'] as const).map((engine) => sampleService('web', { engine, architecture: 'aarch64', leastIsolation: 'process' }));
  for (const service of foreign) {
    const elsewhere = world();
    await rejects(chooseEngines(elsewhere.deps, sampleApp([service]).spec, [service], undefined), { code: 'service.noEngine', message: /it does not run aarch64 guests here|this host runs no aarch64 guests/ });
    deepEqual(elsewhere.proved, [], 'nothing is tried that has no guest of that architecture');
  }
  const apart = sampleService('web', { leastIsolation: 'hardware' });
  await rejects(chooseEngines(world().deps, sampleApp([apart]).spec, [apart], undefined), { code: 'service.noEngine', message: /qemu: its isolation here is `emulated`.*uml: its isolation here is `process`/ });
  const lines = previewApp(sampleApp([open]).spec, { web: { engine: 'uml', why: '' } }, undefined, undefined, host);
  equal(lines.find((line) => line.startsWith('make machine')), 'make machine shop-x86-64-uml (x86_64, 1 processors, 1024 MiB)');
});
