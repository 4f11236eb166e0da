/** The gateway against the real HAProxy and real web servers. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { Agent, createServer as createWebServer, request, type Server } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { identifyProcess, isAlive, silentLog, systemClock, waitUntil, type Instance } from '#base';
import type { GatewayBackend, GatewayState } from '../gateway/gateway.ts';
import { findMaster, haproxyFolder } from './haproxy-process.ts';
import { openHaproxyGateway, type HaproxyGateway } from './index.ts';

const base = 21_000 + (process.pid % 900) * 8;
const [webPort, hostsPort, tcpPort, extraPort] = [base, base + 1, base + 2, base + 3] as const;
type ServerWish = GatewayBackend['servers'][number];
let folder: string;
let instance: Instance;
let gateway: HaproxyGateway;
let exits = 0;
const servers: { readonly name: string; readonly server: Server; readonly port: number }[] = [];
let parking: Server;

before(async () => {
  folder = await mkdtemp('/tmp/gw-');
  instance = { name: 'gwt', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 197 };
  gateway = openHaproxyGateway({ instance, parkingAddress: '127.0.0.1', log: silentLog, onExit: () => { exits += 1; } });
  for (const name of ['c1', 'c2']) {
    const server = createWebServer((incoming, response) => { setTimeout(() => response.end(`${name} ${String(incoming.headers['x-forwarded-for'])}`), 2); });
    servers.push({ name, server, port: await listen(server) });
  }
  parking = createWebServer((_, response) => response.end('parked'));
  await listen(parking);
});

after(async () => {
  const pids = (await processes()).map(({ pid }) => pid);
  assert.ok(pids.length >= 2);
  await gateway.stop();
  await gateway.stop();
  assert.deepEqual(await processes(), [], 'no process is left');
  for (const server of [...servers.map((one) => one.server), parking]) {
    server.closeAllConnections();
    await new Promise<void>((resolve) => { server.close(() => resolve()); });
  }
  await rm(folder, { recursive: true });
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return (server.address() as AddressInfo).port;
}

/** Every process that names our folder. */
async function processes(): Promise<{ readonly pid: number }[]> {
  const found: { readonly pid: number }[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const line = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(folder) && line.startsWith('haproxy') && await identifyProcess(Number(entry)) !== undefined) found.push({ pid: Number(entry) });
  }
  return found;
}

function server(name: string, state: ServerWish['state'] = 'ready'): ServerWish {
  return { name, address: '127.0.0.1', port: servers.find((one) => one.name === name)?.port ?? 1, state, weight: 100 };
}

function state(list: readonly ServerWish[], changes: Partial<GatewayState> = {}): GatewayState {
  const parkingPort = (parking.address() as AddressInfo).port;
  return {
    backends: [{ name: 'shop_web_80', mode: 'http', servers: list, parkingPort }, { name: 'shop_db_6379', mode: 'tcp', servers: list, parkingPort: null }],
    binds: [{ address: '0.0.0.0', port: webPort, backend: 'shop_web_80' }, { address: '127.0.0.1', port: tcpPort, backend: 'shop_db_6379' }],
    hosts: { port: hostsPort, routes: { 'web.shop.localhost': 'shop_web_80' } }, ...changes,
  };
}

function ask(port = webPort, headers: Record<string, string> = {}, agent: Agent | false = false): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, headers, agent, timeout: 5000 }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => { body += chunk.toString(); });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.on('timeout', () => sent.destroy(new Error('time-out')));
    sent.end();
  });
}

async function answering(times = 6, port = webPort): Promise<string[]> {
  const names = new Set<string>();
  for (let round = 0; round < times; round += 1) names.add((await ask(port)).body.split(' ')[0] ?? '');
  return [...names].sort();
}

test('[W1] published ports lead to all ready servers, which see the asker; TCP ports carry bytes', async () => {
  assert.deepEqual(await gateway.apply(state([server('c1'), server('c2')])), { reloaded: true });
  assert.deepEqual(await answering(), ['c1', 'c2']);
  assert.equal((await ask()).body.split(' ')[1], '127.0.0.1');
  assert.deepEqual(await answering(6, tcpPort), ['c1', 'c2']);
  assert.equal((await ask(tcpPort)).body.split(' ')[1], 'undefined', 'bytes are not touched');
});

test('[W2] host names lead to their service; an unknown one is told so; they change without a reload', async () => {
  await gateway.apply(state([server('c1')]));
  assert.match((await ask(hostsPort, { host: `Web.Shop.Localhost:${hostsPort}` })).body, /^c1/);
  assert.equal((await ask(hostsPort, { host: 'nobody.localhost' })).status, 404);
  const renamed = state([server('c1')], { hosts: { port: hostsPort, routes: { 'new.shop.localhost': 'shop_web_80' } } });
  assert.deepEqual(await gateway.apply(renamed), { reloaded: false });
  assert.match((await ask(hostsPort, { host: 'new.shop.localhost' })).body, /^c1/);
  assert.equal((await ask(hostsPort, { host: 'web.shop.localhost' })).status, 404);
});

test('[W3] servers come, go, drain and change weight without a reload', async () => {
  const reloads: boolean[] = [];
  const go = async (list: readonly ServerWish[]) => { reloads.push((await gateway.apply(state(list))).reloaded); };
  await go([server('c1')]);
  assert.deepEqual(await answering(), ['c1']);
  await go([server('c1'), server('c2')]);
  assert.deepEqual(await answering(), ['c1', 'c2']);
  await go([server('c1', 'drain'), server('c2')]);
  assert.deepEqual(await answering(), ['c2']);
  await go([{ ...server('c1'), weight: 200 }, { ...server('c2'), weight: 1 }]);
  assert.deepEqual(await answering(4), ['c1']);
  await go([{ ...server('c1'), port: server('c2').port }]);
  assert.deepEqual(await answering(), ['c2'], 'a server that moved');
  await go([server('c2')]);
  await go([server('c2')]);
  assert.deepEqual(reloads, reloads.map(() => false));
  await waitUntil(async () => (await gateway.stats()).every((one) => one.server !== 'c1'), { what: 'the removed server is gone', limitMs: 8000, everyMs: 100 });
});

test('[W4] with no ready server requests go to the parking place', async () => {
  await gateway.apply(state([]));
  assert.equal((await ask()).body, 'parked');
  await gateway.apply(state([server('c1', 'drain')]));
  assert.equal((await ask()).body, 'parked');
  await gateway.apply(state([server('c1')]));
  assert.match((await ask()).body, /^c1/);
});

test('[W5] drains, reloads and removals under load fail no keep-alive request', async () => {
  await gateway.apply(state([server('c1'), server('c2')]));
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let stop = false;
  let asked = 0;
  const failed: string[] = [];
  const load = Promise.all(Array.from({ length: 8 }, async () => {
    while (!stop) {
      asked += 1;
      await ask(webPort, {}, agent).then(({ status, body }) => { if (status !== 200) failed.push(`${status} ${body}`); }, (error: Error) => failed.push(error.message));
    }
  }));
  try {
    for (let round = 0; round < 4; round += 1) {
      await gateway.apply(state([server('c1', 'drain'), server('c2')]));
      await gateway.apply(state([server('c2')]));
      await gateway.apply(state([server('c1'), server('c2')]));
      const { reloaded } = await gateway.apply(state([server('c1'), server('c2')], { binds: [...state([]).binds, { address: '127.0.0.1', port: extraPort, backend: 'shop_web_80' }] }));
      assert.ok(reloaded);
      const seen = asked;
      await waitUntil(() => asked > seen + 50, { what: 'fifty more requests', limitMs: 5000 });
    }
  } finally {
    stop = true;
    await load;
    agent.destroy();
  }
  assert.deepEqual(failed, []);
  assert.ok(asked > 200);
});

test('[W6] a port somebody else has is told; all else goes on, and it is taken up when free', async () => {
  await gateway.apply(state([server('c1')]));
  const other = createServer();
  const listens = () => new Promise<boolean>((resolve) => { other.once('error', () => resolve(false)).listen(extraPort, '127.0.0.1', () => resolve(true)); });
  await waitUntil(listens, { what: 'the earlier worker lets go of the port', limitMs: 3000 });
  const wish = state([server('c1')], { binds: [...state([]).binds, { address: '0.0.0.0', port: extraPort, backend: 'shop_web_80' }, { address: '0.0.0.0', port: webPort, backend: 'shop_web_80' }] });
  await assert.rejects(gateway.apply(wish), (error: { code: string; details: { ports: number[] } }) => error.code === 'gateway.portTaken' && error.details.ports.includes(extraPort) && error.details.ports.includes(webPort));
  assert.deepEqual(await answering(), ['c1'], 'the servers followed');
  await new Promise<void>((resolve) => { other.close(() => resolve()); });
  const { reloaded } = await gateway.apply({ ...wish, binds: wish.binds.slice(0, 3) });
  assert.ok(reloaded);
  assert.match((await ask(extraPort)).body, /^c1/);
});

test('[W7] a killed HAProxy is back by itself with the same servers', async () => {
  await gateway.apply(state([server('c2')]));
  const master = await findMaster(haproxyFolder(folder));
  assert.ok(master !== undefined);
  process.kill(master.pid, 'SIGKILL');
  await waitUntil(async () => !(await isAlive(master)), { what: 'it is dead', limitMs: 3000 });
  await waitUntil(() => ask().then(({ body }) => body.startsWith('c2'), () => false), { what: 'it answers again', limitMs: 8000 });
  assert.equal(exits, 1);
  assert.deepEqual(await gateway.apply(state([server('c2')])), { reloaded: false });
});

test('[W7] a killed worker is replaced too', async () => {
  const all = await processes();
  const master = await findMaster(haproxyFolder(folder));
  const worker = all.find(({ pid }) => pid !== master?.pid);
  assert.ok(worker !== undefined);
  process.kill(worker.pid, 'SIGKILL');
  await waitUntil(async () => (await identifyProcess(worker.pid)) === undefined, { what: 'it is dead', limitMs: 3000 });
  await waitUntil(() => ask().then(({ body }) => body.startsWith('c2'), () => false), { what: 'it answers again', limitMs: 8000 });
});

test('[W12] HAProxy that cannot be seen for a moment is not taken for somebody else who has its ports', async () => {
  await gateway.apply(state([server('c1')]));
  const { masterSocket, workerSocket } = haproxyFolder(folder);
  for (const socket of [masterSocket, workerSocket]) {
    await rename(socket, `${socket}.away`);
    const applied = gateway.apply(state([server('c1'), server('c2')]));
    applied.catch(() => undefined);
    await systemClock.wait(200);
    await rename(`${socket}.away`, socket);
    assert.deepEqual(await applied, { reloaded: false }, socket);
  }
  assert.deepEqual(await answering(), ['c1', 'c2']);
});

test('[W8] a later daemon finds the same process and reloads nothing', async () => {
  await gateway.apply(state([server('c1'), server('c2')]));
  const master = await findMaster(haproxyFolder(folder));
  gateway.release();
  gateway = openHaproxyGateway({ instance, parkingAddress: '127.0.0.1', log: silentLog });
  assert.deepEqual(await gateway.apply(state([server('c1')])), { reloaded: false });
  assert.deepEqual(await findMaster(haproxyFolder(folder)), master);
  assert.deepEqual(await answering(), ['c1']);
});

test('[W9] the statistics count sessions and requests by server', async () => {
  const before = (await gateway.stats()).find((one) => one.backend === 'shop_web_80' && one.server === 'c1');
  await answering(4);
  const after = (await gateway.stats()).find((one) => one.backend === 'shop_web_80' && one.server === 'c1');
  assert.equal((after?.totalRequests ?? 0) - (before?.totalRequests ?? 0), 4);
  const held = connect({ host: '127.0.0.1', port: tcpPort });
  await waitUntil(async () => (await gateway.stats()).some((one) => one.backend === 'shop_db_6379' && one.currentSessions === 1), { what: 'the session is seen', limitMs: 3000 });
  held.destroy();
});

test('[W11] HAProxy runs as a user of its own, locked into an empty folder', async () => {
  const master = await findMaster(haproxyFolder(folder));
  const worker = (await processes()).find(({ pid }) => pid !== master?.pid);
  const status = await readFile(`/proc/${worker?.pid}/status`, 'utf8');
  assert.doesNotMatch(status, /^Uid:\s+0/m);
  assert.match(status, /^CapEff:\s+0+$/m);
  assert.deepEqual(await readdir(`/proc/${worker?.pid}/root`), []);
});
