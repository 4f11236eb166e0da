/** Addresses and ports over a real store: one owner each, whoever asks at once. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { createServer } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { StrataError } from '#base';
import type { Store } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { openAddresses } from './addresses.ts';
import { openPorts, portIsFree } from './ports.ts';

async function openStore(t: TestContext): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-pool-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  t.after(async () => { await store.close(); rmSync(folder, { recursive: true }); });
  return store;
}

test('[P4] each owner has one address, the same at each call, in the range it asked for', async (t) => {
  const addresses = openAddresses(await openStore(t), { subnet: 91 });
  equal(await addresses.allocate('endpoint', 'machine/a'), '10.91.1.1');
  equal(await addresses.allocate('endpoint', 'machine/a'), '10.91.1.1');
  equal(await addresses.allocate('service', 'service/web'), '10.91.128.1');
  await rejects(addresses.allocate('service', 'machine/a'), { code: 'pool.addressRange' });
  deepEqual([await addresses.ownerOf('10.91.1.1'), await addresses.addressOf('service/web'), await addresses.ownerOf('10.91.1.2')], ['machine/a', '10.91.128.1', undefined]);
});

test('[P4] forty that ask at once get forty addresses', async (t) => {
  const addresses = openAddresses(await openStore(t), { subnet: 91 });
  const taken = await Promise.all(Array.from({ length: 40 }, (_none, index) => addresses.allocate('endpoint', `container/${index % 20}-${index}`)));
  equal(new Set(taken).size, 40);
  equal((await addresses.list()).length, 40);
});

test('[P4] one given back is not used again while others are free, and remembering is bounded', async (t) => {
  const addresses = openAddresses(await openStore(t), { subnet: 91 }, 3);
  const first = await addresses.allocate('endpoint', 'a');
  await addresses.release('a');
  await addresses.release('a');
  equal(await addresses.ownerOf(first), undefined);
  deepEqual([await addresses.allocate('endpoint', 'b') === first, await addresses.addressOf('a')], [false, undefined]);
  const given: string[] = [];
  for (let index = 0; index < 12; index += 1) {
    const address = await addresses.allocate('endpoint', `t${index}`);
    equal(given.slice(-3).includes(address), false, 'one of the last three given back');
    await addresses.release(`t${index}`);
    given.push(address);
  }
  equal(new Set(given).size, 4, 'those given back longest ago are used again, no new ones taken');
});

test('[P11] an address and what it is for are written at once, and end at once', async (t) => {
  const store = await openStore(t);
  const addresses = openAddresses(store, { subnet: 91 });
  const record = (address: string) => [{ put: 'machine/a', value: { address } }];
  equal(await addresses.allocate('endpoint', 'machine/a', record), '10.91.1.1');
  deepEqual((await store.get('machine/a'))?.value, { address: '10.91.1.1' });
  await rejects(addresses.allocate('endpoint', 'machine/b', () => [{ put: 'no key', value: 1 }]), { code: 'store.badKey' });
  deepEqual((await addresses.list()).map((one) => one.owner), ['machine/a'], 'no record, no address');
  await rejects(addresses.release('machine/a', [{ delete: 'no key' }]), { code: 'store.badKey' });
  equal(await addresses.addressOf('machine/a'), '10.91.1.1');
  const revision = (await store.get('machine/a'))?.revision ?? 0;
  equal(await addresses.release('machine/a', [{ delete: 'machine/a' }], [{ key: 'machine/a', revision: revision - 1 }]), false);
  equal(await addresses.addressOf('machine/a'), '10.91.1.1', 'both or neither');
  equal(await addresses.release('machine/a', [{ delete: 'machine/a' }], [{ key: 'machine/a', revision }]), true);
  for (let time = 1; time <= 2; time += 1) {
    equal(await addresses.release('machine/a', [{ delete: 'machine/a' }]), true);
    deepEqual([await addresses.list(), await store.get('machine/a')], [[], undefined]);
  }
});

test('[P11] ports end with their record or not at all', async (t) => {
  const store = await openStore(t);
  const ports = openPorts(store, () => Promise.resolve(true));
  for (const port of [8080, 8081]) await ports.take('app/a', port, 'tcp');
  const first = await store.transact({ writes: [{ put: 'app/a', value: 1 }] });
  ok(first.committed);
  const forget = (revision: number) => ports.release('app/a', { compare: [{ key: 'app/a', revision }], writes: [{ delete: 'app/a' }] });
  equal(await forget(first.revision - 1), false);
  equal((await ports.list()).length, 2);
  equal(await forget(first.revision), true);
  deepEqual([await ports.list(), await store.get('app/a')], [[], undefined]);
});

test('[P5] a port has one owner; the same owner may ask again; it is free after release', async (t) => {
  const ports = openPorts(await openStore(t), () => Promise.resolve(true));
  equal(await ports.take('service/web', 8080, 'tcp'), 8080);
  equal(await ports.take('service/web', 8080, 'tcp'), 8080);
  equal(await ports.take('service/dns', 8080, 'udp'), 8080);
  await rejects(ports.take('service/api', 8080, 'tcp'), (error) => error instanceof StrataError && error.code === 'pool.portTaken' && error.message.includes('service/web'));
  await ports.releasePort('service/api', 8080, 'tcp');
  equal(await ports.ownerOf(8080, 'tcp'), 'service/web');
  await ports.release('service/web');
  equal(await ports.take('service/api', 8080, 'tcp'), 8080);
});

test('[P5] chosen ports are the lowest free ones, also for many at once', async (t) => {
  const ports = openPorts(await openStore(t), (port) => Promise.resolve(port !== 30_001));
  const taken = await Promise.all(['a', 'b', 'c'].map((owner) => ports.take(owner, 0, 'tcp')));
  deepEqual(taken.toSorted(), [30_000, 30_002, 30_003]);
});

test('[P5] a port another program listens on is seen, tcp and udp', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  equal(await portIsFree(port, 'tcp'), false);
  ok(await portIsFree(port, 'udp'));
  const ports = openPorts(await openStore(t));
  await rejects(ports.take('service/web', port, 'tcp'), (error) => { match((error as Error).message, /another program/); return (error as StrataError).code === 'pool.portTaken'; });
});
