/** Containers' addresses behind one card of one machine, against the host's real routed taps and policy. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { gatewayAddress, waitUntil } from '#base';
import { macOfAddress } from '#pool';
import { openBench, type Bench } from '../testing/open-bench.ts';
import type { GuestContainerSpec } from '#guest-protocol';
import { askWho as get, openNetworkBench, type NetworkBench } from '../testing/open-network-bench.ts';
import { shell, specOf } from '../testing/specs.ts';

const subnet = 223;
const addressOf = (last: number): string => `10.${subnet}.1.${last}`;

describe('containers in the network', () => {
  let net: NetworkBench;
  let bench: Bench;
  before(async () => {
    net = await openNetworkBench('gnet', subnet);
    ({ bench } = net);
  });
  after(() => net?.close());
  const start = (last: number) => net.start(last);

  test('[G70] each container answers the host under its own address and MAC', async () => {
    const ids = [await start(2), await start(3)];
    for (const last of [2, 3]) await waitUntil(async () => (await get(addressOf(last))) === `c${last}`, { what: `container ${last} answers`, limitMs: 20_000 });
    const link = await bench.exec(ids[0] as string, ['ip', 'address', 'show', 'eth0']);
    assert.match(link.out, new RegExp(macOfAddress(addressOf(2))));
    assert.match(link.out, new RegExp(`inet ${addressOf(2)}/32`.replaceAll('.', '\\.')));
    assert.equal((await bench.exec(ids[0] as string, ['ip', 'route'])).out.split('\n')[0]?.trim(), `default via ${gatewayAddress(net.instance)} dev eth0`);
    for (const id of ids) await bench.guest.line.call('containerRemove', { id });
  });

  test('[G71] containers of one machine reach each other through the host, and only within their project', async () => {
    const ids = await Promise.all([start(2), start(3), start(4)]);
    for (const last of [2, 3, 4]) await waitUntil(async () => (await get(addressOf(last))) === `c${last}`, { what: `container ${last} answers`, limitMs: 20_000 });
    const ask = (from: number, last: number) => bench.exec(ids[from] as string, shell(`printf 'GET /who HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${addressOf(last)} 8080 | tail -1`));
    assert.equal((await ask(0, 3)).out, 'c3\n');
    assert.equal((await ask(1, 2)).out, 'c2\n');
    assert.equal((await ask(0, 4)).out, '');
    assert.equal((await bench.exec(ids[0] as string, ['ping', '-c', '1', '-W', '3', gatewayAddress(net.instance)])).code, 0);
    for (const id of ids) await bench.guest.line.call('containerRemove', { id });
  });

  test('[G72] a container without a network has loopback only', async () => {
    const { out } = await bench.runToEnd({ argv: shell('ip -o link | cut -d: -f2') });
    assert.equal(out, ' lo\n');
  });

  test('[G73] probes ask the container\'s own address: a server on loopback only is not healthy', async () => {
    const health = { test: { kind: 'tcp' as const, port: 8080 }, intervalMs: 200, timeoutMs: 2000, retries: 2, startPeriodMs: 0, startIntervalMs: 200 };
    const address = addressOf(2);
    const wish = { network: { address, gateway: gatewayAddress(net.instance), mac: macOfAddress(address) }, health };
    const hidden = await bench.start({ argv: shell('httpd -f -p 127.0.0.1:8080'), ...wish });
    assert.match((await bench.awaitState(hidden.id, (state) => state.health === 'unhealthy')).lastProbe?.output ?? '', /refused/i);
    await bench.guest.line.call('containerRemove', { id: hidden.id });
    const open = await bench.start({ argv: shell('httpd -f -p 8080'), ...wish });
    await bench.awaitState(open.id, (state) => state.health === 'healthy');
    await bench.guest.line.call('containerRemove', { id: open.id });
  });

  /** What the guest has of them. */
  const placesOf = async (...ids: readonly string[]): Promise<string> => (await bench.exec('', shell(`ls -d ${ids.flatMap((id) => ['/scratch/layers/', '/scratch/logs/', '/run/containers/', '/run/netns/', '/sys/fs/cgroup/strata/'].map((folder) => folder + id)).join(' ')}`))).out;

  test('[G75] a container goes on as another: address, name, files, health and hook are that one\'s, and what it was connected to is cut off', async () => {
    const gateway = gatewayAddress(net.instance);
    const hosts = (text: string) => [{ kind: 'file' as const, target: '/etc/hosts', content: Buffer.from(text).toString('base64'), mode: 0o644, uid: 0, gid: 0 }];
    const wish = (last: number) => specOf({
      argv: shell('mkdir /w; echo $HOSTNAME-$$ > /w/who; touch /w/ticks; (while true; do echo >> /w/ticks; usleep 10000; done) & httpd -f -p 8080 -h /w'), hostname: `c${last}`, env: ['PATH=/bin', `HOSTNAME=c${last}`], mounts: hosts(`own ${last}\n`),
      network: { address: addressOf(last), gateway, mac: macOfAddress(addressOf(last)) },
      health: { test: { kind: 'tcp', port: 8080 }, intervalMs: 60_000, timeoutMs: 2000, retries: 3, startPeriodMs: 0, startIntervalMs: 100 },
    });
    const [first, second] = [wish(2), wish(3)];
    await bench.guest.line.call('containerStart', { spec: first });
    await bench.awaitState(first.id, (state) => state.health === 'healthy');
    assert.equal((await placesOf(first.id)).split('\n').length, 6);
    const held = connect(8080, addressOf(2));
    held.on('error', () => undefined);
    await once(held, 'connect');
    const ticks = async (id: string) => Number((await bench.exec(id, shell('wc -l < /w/ticks'))).out);

    await bench.guest.line.call('containerFreeze', { id: first.id, limitMs: 20_000 });
    const file = await bench.guest.line.call('fileRead', { container: first.id, path: '/w/ticks', offset: 0, length: 1_000_000 });
    const later = await bench.guest.line.call('fileRead', { container: first.id, path: '/w/ticks', offset: 0, length: 1_000_000 });
    assert.equal(later.content, file.content);
    const waiting = connect(8080, addressOf(2)); // accepted by the kernel alone
    waiting.on('error', () => undefined);
    await once(waiting, 'connect');

    const state = await bench.guest.line.call('containerGoOn', { from: first.id, spec: second, command: shell('hostname > /w/hook; cat /etc/hosts >> /w/hook'), limitMs: 20_000 });
    assert.deepEqual([state.id, state.phase, state.health, state.cloned, state.digest], [second.id, 'running', 'healthy', true, second.digest]);
    assert.equal((await bench.exec(second.id, shell('hostname; cat /etc/hosts /w/hook'))).out, 'c3\nown 3\nc3\nown 3\n');
    assert.match(await get(addressOf(3)), /^c2-/); // of a process that runs, no word changes
    assert.equal(await get(addressOf(2)), '');
    const peers = (await bench.exec(second.id, shell('cat /proc/net/tcp /proc/net/tcp6'))).out;
    assert.ok(!peers.split('\n').some((line) => / 01 [0-9A-F]{8}:/.test(line)), peers);
    const before = await ticks(second.id);
    await waitUntil(async () => (await ticks(second.id)) > before, { what: 'its processes run', limitMs: 20_000 });
    assert.deepEqual(await bench.logs(second.id), []);
    await assert.rejects(bench.state(first.id));
    for (const one of [held, waiting]) one.destroy();

    // Stopped and started it is an ordinary one, in the same places.
    await bench.guest.line.call('containerStop', { id: second.id });
    assert.equal((await bench.guest.line.call('containerStart', { spec: second })).cloned, false);
    await waitUntil(async () => (await get(addressOf(3))).startsWith('c3-'), { what: 'it answers as itself', limitMs: 20_000 });
    await bench.guest.line.call('containerRemove', { id: second.id });
    assert.equal(await placesOf(first.id, second.id), '');
  });

  test('[G76] where it cannot go on, by its hook, its health or what it was started with, nothing is left of it; one that nobody thaws runs again', async () => {
    const gateway = gatewayAddress(net.instance);
    const health = { test: { kind: 'tcp' as const, port: 8080 }, intervalMs: 60_000, timeoutMs: 500, retries: 2, startPeriodMs: 0, startIntervalMs: 100 };
    const wish = (last: number, script = 'httpd -f -p 8080') => specOf({ argv: shell(script), network: { address: addressOf(last), gateway, mac: macOfAddress(addressOf(last)) }, health });
    const made: string[] = [];
    const goOn = async (from: GuestContainerSpec, to: GuestContainerSpec, command: readonly string[] | null) => {
      await bench.guest.line.call('containerStart', { spec: from });
      await bench.awaitState(from.id, (state) => state.health === 'healthy');
      await bench.guest.line.call('containerFreeze', { id: from.id, limitMs: 20_000 });
      await assert.rejects(bench.guest.line.call('containerGoOn', { from: from.id, spec: to, command, limitMs: 5000 }), (error: Error & { code?: string }) => { assert.match(`${error.code} ${error.message}`, /cannotGoOn/); return true; });
      for (const id of [from.id, to.id]) await assert.rejects(bench.state(id));
      made.push(from.id, to.id);
    };
    await goOn(wish(2), wish(3), shell('echo no >&2; exit 3'));
    const bound = `httpd -f -p ${addressOf(2)}:8080`; // hears nothing under another address
    await goOn(wish(2, bound), wish(3, bound), null);
    await goOn(wish(2), { ...wish(3), user: '1000' }, null);
    assert.equal(await placesOf(...made), '');
    const alone = wish(2);
    await bench.guest.line.call('containerStart', { spec: alone });
    await bench.awaitState(alone.id, (state) => state.health === 'healthy');
    await bench.guest.line.call('containerFreeze', { id: alone.id, limitMs: 300 });
    await waitUntil(async () => (await bench.exec(alone.id, ['true'])).code === 0, { what: 'it runs again', limitMs: 20_000 });
    await bench.guest.line.call('containerRemove', { id: alone.id });
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
