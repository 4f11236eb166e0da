/** Configuration and plans as text: pure, and `haproxy -c` has the last word. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { runProcess } from '#base';
import { checkGatewayState, separateBinds } from '../gateway/check-gateway-state.ts';
import type { GatewayBackend, GatewayState } from '../gateway/gateway.ts';
import { planServers, type LoadedServer } from './plan-servers.ts';
import { renderConfig, renderHostMap, renderStructure } from './render-config.ts';

const backend: GatewayBackend = { name: 'shop_web_80', mode: 'http', parkingPort: 30_000, servers: [{ name: 'c1', address: '10.88.1.1', port: 80, state: 'ready', weight: 100 }] };
const plain: GatewayState = { backends: [backend], binds: [{ address: '0.0.0.0', port: 18_080, backend: 'shop_web_80' }], hosts: { port: 18_081, routes: { 'web.shop.localhost': 'shop_web_80' } } };

test('[W10] HAProxy takes what we write, for any state that passes the check', async () => {
  const folder = await mkdtemp('/tmp/gwc-');
  try {
    const states = fc.sample(anyState, 12);
    for (const state of [plain, ...states]) {
      checkGatewayState(state);
      await writeFile(`${folder}/map`, renderHostMap(state));
      const places = { socketPath: `${folder}/s`, emptyDir: folder, mapPath: `${folder}/map`, parkingAddress: '10.88.0.1', ipv6: true };
      await writeFile(`${folder}/cfg`, renderConfig({ ...state, binds: separateBinds(state).binds }, places, 'mark'));
      await runProcess(['haproxy', '-c', '-q', '-f', `${folder}/cfg`]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

const serverName = fc.stringMatching(/^c[a-z2-7]{3,10}$/);
const octet = fc.nat(255);
const anyBackend = fc.record({
  name: fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,30}$/), mode: fc.constantFrom('http' as const, 'tcp' as const), parkingPort: fc.option(fc.integer({ min: 1, max: 65_535 })),
  servers: fc.uniqueArray(fc.record({ name: serverName, address: fc.tuple(octet, octet).map(([a, b]) => `10.88.${a}.${b}`), port: fc.integer({ min: 1, max: 65_535 }), state: fc.constantFrom('ready' as const, 'drain' as const), weight: fc.nat(256) }), { selector: (one) => one.name, maxLength: 5 }),
});
const anyState: fc.Arbitrary<GatewayState> = fc.uniqueArray(anyBackend, { selector: (one) => one.name, minLength: 1, maxLength: 5 }).chain((backends) => fc.record({
  backends: fc.constant(backends),
  binds: fc.array(fc.record({ address: fc.constantFrom('0.0.0.0', '127.0.0.1', '::', '::1'), port: fc.integer({ min: 1024, max: 65_535 }), backend: fc.constantFrom(...backends.map(({ name }) => name)) }), { maxLength: 6 }),
  hosts: fc.record({ port: fc.integer({ min: 1024, max: 65_535 }), routes: fc.dictionary(fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\.localhost$/), fc.constantFrom(...backends.filter(({ mode }) => mode === 'http').map(({ name }) => name), ''))
    .map((routes) => Object.fromEntries(Object.entries(routes).filter(([, to]) => to !== ''))) }),
}));

test('[W10] hostile words are refused before they are written', () => {
  const hostile = ['a b', 'a\nglobal', 'a"b', "a'b", 'a#b', 'a\\b', '%[x]', 'a;b', '', '../a', 'A'.repeat(300), 'a\u0000b', 'ä'];
  for (const word of hostile) {
    const [server] = backend.servers;
    const wishes: unknown[] = [
      { ...plain, backends: [{ ...backend, name: word }], binds: [], hosts: { port: 1, routes: {} } },
      { ...plain, backends: [{ ...backend, servers: [{ ...server, name: word }] }] },
      { ...plain, backends: [{ ...backend, servers: [{ ...server, address: word }] }] },
      { ...plain, backends: [{ ...backend, servers: [{ ...server, port: word }] }] },
      { ...plain, binds: [{ address: word, port: 80, backend: 'shop_web_80' }] },
      { ...plain, binds: [{ address: '0.0.0.0', port: 80, backend: word }] },
      { ...plain, hosts: { port: 80, routes: { [word]: 'shop_web_80' } } },
      { ...plain, hosts: { port: word, routes: {} } },
    ];
    for (const wish of wishes) assert.throws(() => checkGatewayState(wish as GatewayState), { code: 'gateway.badState' }, JSON.stringify(wish));
  }
  assert.throws(() => checkGatewayState({ ...plain, backends: [backend, backend] }), { code: 'gateway.badState' });
  assert.throws(() => checkGatewayState({ ...plain, backends: [{ ...backend, servers: [{ name: 'parking', address: '1.1.1.1', port: 1, state: 'ready', weight: 1 }] }] }), { code: 'gateway.badState' });
});

test('[W3] servers are no part of the structure; backends, binds and parking are', () => {
  const places = { socketPath: '/s', emptyDir: '/e', mapPath: '/m', parkingAddress: '10.88.0.1', ipv6: false };
  const of = (state: GatewayState) => renderStructure(state, places);
  assert.equal(of(plain), of({ ...plain, backends: [{ ...backend, servers: [] }] }));
  assert.equal(of(plain), of({ ...plain, hosts: { ...plain.hosts, routes: {} } }));
  for (const other of [{ ...plain, binds: [] }, { ...plain, backends: [{ ...backend, parkingPort: 1 }] }, { ...plain, hosts: { ...plain.hosts, port: 5 } }]) assert.notEqual(of(plain), of(other));
});

/** What HAProxy's servers are after the commands, as its documentation says. */
function perform(loaded: readonly LoadedServer[], commands: readonly string[]): LoadedServer[] {
  const servers = new Map(loaded.map((one) => [`${one.backend}/${one.name}`, one]));
  for (const command of commands) {
    const [verb, , path = '', what, value, , port] = command.split(' ');
    const now = servers.get(path);
    const [name = '', server = ''] = path.split('/');
    if (verb === 'del') servers.delete(path);
    else if (verb === 'add') {
      const [address = '', at] = (what ?? '').split(':');
      servers.set(path, { backend: name, name: server, address, port: Number(at), state: 'maint', weight: Number(command.split('weight ')[1]) });
    } else if (now !== undefined && what === 'addr') servers.set(path, { ...now, address: value ?? '', port: Number(port) });
    else if (now !== undefined && what === 'weight') servers.set(path, { ...now, weight: Number(value) });
    else if (now !== undefined && what === 'state') servers.set(path, { ...now, state: value as LoadedServer['state'] });
  }
  return [...servers.values()];
}

test('[W3] the planned commands lead to what was wished, from anywhere, and then nothing is left to do', () => {
  const loadedServer = fc.record({ backend: fc.constantFrom('shop_web_80', 'gone'), name: fc.constantFrom('c1', 'c2', 'c3'), address: fc.constantFrom('10.88.1.1', '10.88.1.2'), port: fc.constantFrom(80, 81), state: fc.constantFrom('ready' as const, 'drain' as const, 'maint' as const), weight: fc.constantFrom(0, 1, 100) });
  const wish = fc.uniqueArray(fc.record({ name: fc.constantFrom('c1', 'c2', 'c3'), address: fc.constantFrom('10.88.1.1', '10.88.1.2'), port: fc.constantFrom(80, 81), state: fc.constantFrom('ready' as const, 'drain' as const), weight: fc.constantFrom(1, 100) }), { selector: (one) => one.name });
  fc.assert(fc.property(fc.uniqueArray(loadedServer, { selector: (one) => `${one.backend}/${one.name}` }), wish, (loaded, servers) => {
    const wished = [{ ...backend, servers }];
    const plan = planServers(wished, loaded);
    const result = perform(loaded, [...plan.commands, ...plan.removals]);
    assert.deepEqual(new Map(result.map((one) => [one.name, `${one.address}:${one.port} ${one.state} ${one.weight}`])), new Map(servers.map((one) => [one.name, `${one.address}:${one.port} ready ${one.state === 'drain' ? 0 : one.weight}`])));
    assert.deepEqual(planServers(wished, result), { commands: [], removals: [] });
  }));
});

test('[W6] binds that cannot stand together are told apart, the earlier one stays', () => {
  const bind = (address: string, port: number) => ({ address, port, backend: 'shop_web_80' });
  const { binds, clashing } = separateBinds({ ...plain, binds: [bind('0.0.0.0', 80), bind('127.0.0.1', 80), bind('::', 80), bind('127.0.0.1', 81), bind('127.0.0.2', 81), bind('0.0.0.0', 81), bind('0.0.0.0', 18_081)] });
  assert.deepEqual(binds.map(({ address, port }) => `${address} ${port}`), ['0.0.0.0 80', ':: 80', '127.0.0.1 81', '127.0.0.2 81']);
  assert.equal(clashing.length, 3);
});
