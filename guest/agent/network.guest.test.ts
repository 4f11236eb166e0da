/** Containers' addresses behind one card of one machine, against the host's real routed taps and policy. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gatewayAddress, newId, silentLog, systemDice, waitUntil, type Instance } from '#base';
import { macOfAddress, openHostNetwork, type HostNetwork } from '#pool';
import { openBench, type Bench } from '../testing/open-bench.ts';
import { shell } from '../testing/specs.ts';

const subnet = 223;
const machineId = newId('machine', systemDice);
const instance = (folder: string): Instance => ({ name: 'gnet', stateDir: folder, runDir: folder, cacheDir: '/var/cache/strata', subnet });
const addressOf = (last: number): string => `10.${subnet}.1.${last}`;
const serve = shell('mkdir /w; hostname > /w/who; httpd -f -p 8080 -h /w');

/** What a GET answers; empty where nothing did. */
function get(address: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(8080, address);
    let text = '';
    socket.setTimeout(3000, () => socket.destroy());
    socket.on('connect', () => socket.write('GET /who HTTP/1.0\r\n\r\n'));
    socket.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text.split('\r\n\r\n')[1]?.trim() ?? ''));
  });
}

describe('containers in the network', () => {
  let folder: string;
  let network: HostNetwork;
  let bench: Bench;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gnet-'));
    network = openHostNetwork({ instance: instance(folder), log: silentLog });
    await network.ensure();
    const tap = await network.ensureTap(machineId);
    const endpoint = (last: number, project: string) => ({ address: addressOf(last), machineId, project });
    await network.apply({ endpoints: [endpoint(2, 'a'), endpoint(3, 'a'), endpoint(4, 'b'), endpoint(9, 'a')], virtualAddresses: [] });
    bench = await openBench({ tap: { name: tap, mac: macOfAddress(addressOf(9)) } });
  });
  after(async () => {
    await bench?.close();
    await network.erase();
    await rm(folder, { recursive: true, force: true });
  });
  const start = async (last: number, fields: { argv: readonly string[] } = { argv: serve }) => {
    const address = addressOf(last);
    return (await bench.start({ ...fields, hostname: `c${last}`, network: { address, gateway: gatewayAddress(instance(folder)), mac: macOfAddress(address) } })).id;
  };

  test('[G70] each container answers the host under its own address and MAC', async () => {
    const ids = [await start(2), await start(3)];
    for (const last of [2, 3]) await waitUntil(async () => (await get(addressOf(last))) === `c${last}`, { what: `container ${last} answers`, limitMs: 20_000 });
    const link = await bench.exec(ids[0] as string, ['ip', 'address', 'show', 'eth0']);
    assert.match(link.out, new RegExp(macOfAddress(addressOf(2))));
    assert.match(link.out, new RegExp(`inet ${addressOf(2)}/32`.replaceAll('.', '\\.')));
    assert.equal((await bench.exec(ids[0] as string, ['ip', 'route'])).out.split('\n')[0]?.trim(), `default via ${gatewayAddress(instance(folder))} dev eth0`);
    for (const id of ids) await bench.guest.line.call('containerRemove', { id });
  });

  test('[G71] containers of one machine reach each other through the host, and only within their project', async () => {
    const ids = await Promise.all([start(2), start(3), start(4)]);
    for (const last of [2, 3, 4]) await waitUntil(async () => (await get(addressOf(last))) === `c${last}`, { what: `container ${last} answers`, limitMs: 20_000 });
    const ask = (from: number, last: number) => bench.exec(ids[from] as string, shell(`printf 'GET /who HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${addressOf(last)} 8080 | tail -1`));
    assert.equal((await ask(0, 3)).out, 'c3\n');
    assert.equal((await ask(1, 2)).out, 'c2\n');
    assert.equal((await ask(0, 4)).out, '');
    assert.equal((await bench.exec(ids[0] as string, ['ping', '-c', '1', '-W', '3', gatewayAddress(instance(folder))])).code, 0);
    for (const id of ids) await bench.guest.line.call('containerRemove', { id });
  });

  test('[G72] a container that comes back has its address at once; one without a network has loopback only', async () => {
    const id = await start(2);
    await waitUntil(async () => (await get(addressOf(2))) === 'c2', { what: 'it answers', limitMs: 20_000 });
    await bench.guest.line.call('containerRemove', { id });
    const again = await start(2);
    const begun = performance.now();
    await waitUntil(async () => (await get(addressOf(2))) === 'c2', { what: 'it answers again', limitMs: 20_000 });
    assert.ok(performance.now() - begun < 3000, `${performance.now() - begun} ms`);
    await bench.guest.line.call('containerRemove', { id: again });
    const { out } = await bench.runToEnd({ argv: shell('ip -o link | cut -d: -f2') });
    assert.equal(out, ' lo\n');
  });

  test('[G73] probes ask the container\'s own address: a server on loopback only is not healthy', async () => {
    const health = { test: { kind: 'tcp' as const, port: 8080 }, intervalMs: 200, timeoutMs: 2000, retries: 2, startPeriodMs: 0, startIntervalMs: 200 };
    const address = addressOf(2);
    const wish = { network: { address, gateway: gatewayAddress(instance(folder)), mac: macOfAddress(address) }, health };
    const hidden = await bench.start({ argv: shell('httpd -f -p 127.0.0.1:8080'), ...wish });
    assert.match((await bench.awaitState(hidden.id, (state) => state.health === 'unhealthy')).lastProbe?.output ?? '', /refused/i);
    await bench.guest.line.call('containerRemove', { id: hidden.id });
    const open = await bench.start({ argv: shell('httpd -f -p 8080'), ...wish });
    await bench.awaitState(open.id, (state) => state.health === 'healthy');
    await bench.guest.line.call('containerRemove', { id: open.id });
  });

  test('[G74] without a card a container with an address is refused with the reason', async () => {
    const bare = await openBench();
    try {
      const state = await bare.start({ argv: ['true'], network: { address: addressOf(2), gateway: addressOf(1), mac: macOfAddress(addressOf(2)) } });
      assert.match(state.error, /no network card/);
    } finally {
      await bare.close();
    }
  });
});
