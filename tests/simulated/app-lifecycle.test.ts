/** The life of an app over all layers at once, on machines in memory: what each operation changes, and what it leaves alone. */
import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { change, down, up } from './world/ask-app.ts';
import { comeToRest } from './world/come-to-rest.ts';
import { openSimulatedHost, type SimulatedHost } from './world/simulated-host.ts';

let host: SimulatedHost;
beforeEach(async () => { host = await openSimulatedHost(); });
afterEach(async () => { await host.close(); });

/** Container ids by name, as a person sees them. */
async function containers(): Promise<Record<string, string>> {
  return Object.fromEntries((await host.daemon.backend.containers.list()).map((one) => [one.name, one.id]));
}
async function succeed(operation: Promise<{ status: string; error: unknown }>): Promise<void> {
  const { status, error } = await operation;
  equal(status, 'succeeded', JSON.stringify(error));
  await comeToRest(host);
}
/** Everything but what is written at each look. */
async function records(): Promise<unknown> {
  const { entries } = await host.daemon.layers.store.list('');
  return entries.filter((one) => !/^(operation|host)\//.test(one.key)).map((one) => [one.key, one.revision]);
}

test('up, and up again changes nothing at all: no record, no id, no start', async () => {
  await succeed(up(host, {}));
  const before = await containers();
  deepEqual(Object.keys(before).sort(), ['shop-db-1', 'shop-setup-1', 'shop-web-1', 'shop-worker-1']);
  const [kept, starts] = [await records(), new Map(host.world.starts)];
  await succeed(up(host, {}));
  deepEqual(await records(), kept);
  deepEqual([await containers(), new Map(host.world.starts)], [before, starts]);
});

test('a changed environment or image replaces that service only', async () => {
  await succeed(up(host, { dbVersion: '1' }));
  const first = await containers();
  await succeed(up(host, { image: 'web:2' }));
  const second = await containers();
  notEqual(second['shop-web-1'], first['shop-web-1']);
  for (const name of ['shop-db-1', 'shop-setup-1', 'shop-worker-1']) equal(second[name], first[name], name);
  await succeed(up(host, { image: 'web:2', dbVersion: '2' }));
  const third = await containers();
  notEqual(third['shop-db-1'], second['shop-db-1']);
  for (const name of ['shop-web-1', 'shop-setup-1', 'shop-worker-1']) equal(third[name], second[name], name);
  equal(host.world.starts.size, 1, 'all of it in the machine it had');
});

test('scale up adds beside what there is, scale down takes the last away', async () => {
  await succeed(up(host, {}));
  const one = await containers();
  await succeed(up(host, { replicas: 3 }));
  const three = await containers();
  deepEqual(Object.keys(three).filter((name) => name.startsWith('shop-web')).sort(), ['shop-web-1', 'shop-web-2', 'shop-web-3']);
  for (const name of Object.keys(one)) equal(three[name], one[name], name);
  await succeed(up(host, { replicas: 1 }));
  deepEqual(await containers(), one);
});

test('a service that left the file goes, when that is asked', async () => {
  await succeed(up(host, {}));
  await succeed(up(host, { withoutWorker: true }, { removeOrphans: false }));
  ok((await containers())['shop-worker-1'] !== undefined);
  await succeed(up(host, { withoutWorker: true }));
  equal((await containers())['shop-worker-1'], undefined);
});

test('a volume moves to another machine with its service, and back: it is handed over, never to two', async () => {
  await succeed(up(host, {}));
  for (const dbDedicated of [true, false]) {
    const before = await containers();
    await succeed(up(host, { dbDedicated }));
    const after = await containers();
    notEqual(after['shop-db-1'], before['shop-db-1']);
    equal(after['shop-worker-1'], before['shop-worker-1']);
    const holders = [...host.world.vmms.values()].filter((vmm) => vmm.exit === undefined && [...vmm.disks.keys()].some((serial) => serial.startsWith('v')));
    deepEqual(holders.map((vmm) => vmm.spec.name), [dbDedicated ? 'shop-db-1' : 'shop-x86-64']);
  }
});

test('stop, start and restart: the same containers, and nothing of the others', async () => {
  await succeed(up(host, {}));
  const before = await containers();
  await succeed(change(host, 'stop', ['web']));
  const phases = async () => Object.fromEntries((await host.daemon.backend.containers.list()).map((one) => [one.name, one.phase]));
  equal((await phases())['shop-web-1'], 'exited');
  equal((await phases())['shop-db-1'], 'running');
  await succeed(change(host, 'stop', ['web']));
  await succeed(change(host, 'start'));
  equal((await phases())['shop-web-1'], 'running');
  await succeed(change(host, 'restart', ['web', 'db']));
  await succeed(change(host, 'restart')); // also the job that ended long ago, which ends again at once
  equal((await phases())['shop-setup-1'], 'exited');
  deepEqual(await containers(), before);
  await rejects(change(host, 'stop', ['nothing']), { code: 'service.notFound' });
});

test('down takes all but the data, which the next up finds; down -v takes that too', async () => {
  await succeed(up(host, { dedicated: true }));
  equal(host.world.vmms.size, 2);
  const disks = host.volumeDisks();
  await succeed(down(host));
  deepEqual([host.world.vmms.size, host.network.taps.size, await containers(), host.volumeDisks()], [0, 0, {}, disks]);
  await succeed(up(host, {}));
  deepEqual(host.volumeDisks(), disks);
  await succeed(down(host, { volumes: true }));
  deepEqual(host.volumeDisks(), []);
  await rejects(down(host), { code: 'app.notFound' });
});

test('down -v of an app that is down already takes its data', async () => {
  await succeed(up(host, {}));
  await succeed(down(host));
  await succeed(down(host, { volumes: true }));
  deepEqual(host.volumeDisks(), []);
});

test('what fits no host is refused before anything changes', async () => {
  await host.close();
  host = await openSimulatedHost({ memoryMiB: 1024 });
  const { status, error } = await up(host, {});
  deepEqual([status, error?.code], ['failed', 'pool.tooLarge']);
  ok((error?.diagnostics[0]?.line ?? 0) > 1, JSON.stringify(error));
  await comeToRest(host);
  deepEqual(await host.daemon.backend.apps.list(), []);
});

test('a machine of an app is neither removed, suspended nor copied by hand; who tries is told whose it is', async () => {
  await succeed(up(host, {}));
  const { machines } = host.daemon.backend;
  const [machine] = await machines.list();
  ok(machine !== undefined);
  const owned = { code: 'machine.owned', message: new RegExp(`^machine ${machine.name} belongs to the app ${machine.name.split('-')[0]}`) };
  const before = await records();
  await rejects(machines.remove(machine.name, { force: true }), owned);
  await rejects(machines.suspend(machine.name, {}), owned);
  await rejects(machines.takeSnapshot(machine.name, { memory: false }), owned);
  await rejects(machines.fork(machine.name, 'second'), owned);
  deepEqual(await records(), before);
});

test('an image that is nowhere fails its up, and leaves the app as it was', async () => {
  await succeed(up(host, {}));
  const before = await records();
  const { status, error } = await up(host, { image: 'missing:1', port: 18_081 });
  deepEqual([status, error?.code], ['failed', 'service.imageMissing']);
  await comeToRest(host);
  deepEqual(await records(), before);
});

test('two apps side by side share nothing; a port of one is refused to the other', async () => {
  await succeed(up(host, {}));
  const { status, error } = await up(host, { name: 'other' });
  deepEqual([status, error?.code], ['failed', 'pool.portTaken']);
  await succeed(up(host, { name: 'other', port: 18_081 }));
  equal(host.world.vmms.size, 2);
  await succeed(down(host, { name: 'other', volumes: true }));
  equal(host.world.vmms.size, 1);
});

test('of two calls at once that make a machine of one name, one is told that it is taken', async () => {
  const wish = { name: 'box', engine: 'auto', processors: 1, memoryMiB: 256, scratchMiB: 64, disks: [], start: false } as const;
  const made = await Promise.allSettled([1, 2].map(() => host.daemon.backend.machines.create({ ...wish, disks: [...wish.disks] })));
  deepEqual(made.map((one) => one.status).sort(), ['fulfilled', 'rejected']);
  deepEqual(made.flatMap((one) => (one.status === 'rejected' ? [(one.reason as { code?: string }).code] : [])), ['machine.nameTaken']);
  equal((await host.daemon.backend.machines.list()).filter((one) => one.name === 'box').length, 1);
});

test('[M13] a machine that no engine it asks for could ever run is refused at once, and nothing of it is made', async () => {
  const disk = (at: number) => ({ name: `d${at}`, sizeMiB: 16, backend: 'vmm' as const });
  const wish = { name: 'wide', engine: 'qemu', processors: 1, memoryMiB: 256, scratchMiB: 64, disks: Array.from({ length: 65 }, (_, at) => disk(at)), start: false } as const;
  const { machines } = host.daemon.backend;
  await rejects(machines.create({ ...wish, disks: [...wish.disks] }), { code: 'machine.noEngine', message: 'no engine can run machine wide: qemu: it takes at most 64 disks, and 65 are asked for' });
  await machines.create({ ...wish, name: 'box', disks: [disk(0)] });
  await rejects(host.daemon.backend.disks.clone('box', 'd0', { name: 'twin', full: true, start: false, engine: 'uml' }), { code: 'machine.noEngine', message: /uml: this host does not have it/ });
  deepEqual((await machines.list()).map((one) => one.name), ['box']);
});

test('who asks for a container by the name of its service is told the names of its containers', async () => {
  await succeed(up(host, {}));
  const { name, service } = (await host.daemon.backend.containers.list())[0] ?? { name: '', service: '' };
  equal((await host.daemon.backend.containers.get(name)).name, name);
  await rejects(host.daemon.backend.containers.get(service), (error: { code?: string; advice?: string }) => error.code === 'container.notFound' && error.advice?.startsWith(`${service} is a service; of it there is: ${name}`) === true);
  await rejects(host.daemon.backend.containers.get('nosuch'), { code: 'container.notFound', advice: /^there is: / });
});
