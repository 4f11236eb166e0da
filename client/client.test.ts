/** The client: where it looks, how it starts the daemon, how it explains failures. */
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { apiSocketPath, identifyProcess, instanceFromEnvironment, waitUntil } from '#base';
import { ensureDaemon } from './start-daemon.ts';
import { followOperation, openClient } from './open-client.ts';
import { placesFromEnvironment, type Places } from './places.ts';

const fakeDaemon = fileURLToPath(new URL('../src/api/fake-daemon.ts', import.meta.url));

/** Places of an instance of its own; every daemon started there has ended when the test ends. */
async function openPlaces(t: TestContext): Promise<{ places: Places; argv: (manner?: string) => [string, ...string[]]; starts: () => Promise<number[]> }> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-client-'));
  const env = { STRATA_INSTANCE: 'client', STRATA_RUN: join(folder, 'run'), STRATA_STATE: join(folder, 'state') };
  const places = placesFromEnvironment(env);
  const starts = async () => (await readFile(join(folder, 'state', 'starts.log'), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '').map(Number);
  t.after(async () => {
    for (const pid of await starts()) {
      if ((await identifyProcess(pid)) === undefined) continue;
      process.kill(pid, 'SIGTERM');
      await waitUntil(async () => (await identifyProcess(pid)) === undefined, { what: 'the fake daemon ended', limitMs: 5_000 });
    }
    await rm(folder, { recursive: true, force: true });
  });
  return { places, starts, argv: (manner = '') => ['/usr/bin/env', ...Object.entries({ ...env, FAKE_DAEMON: manner }).map(([name, value]) => `${name}=${value}`), process.execPath, fakeDaemon] };
}

test('[L14] client and server agree on where an instance is', () => {
  const cases = [{}, { STRATA_INSTANCE: 'ci' }, { STRATA_INSTANCE: 'ci', STRATA_RUN: '/tmp/r' }, { STRATA_STATE: '/tmp/s', STRATA_CACHE: '/tmp/c' }, { STRATA_INSTANCE: 'strata' }];
  for (const env of cases) {
    const instance = instanceFromEnvironment(env);
    const places = placesFromEnvironment(env);
    deepEqual([places.instance, places.stateDir, places.runDir, places.cacheDir, places.socketPath], [instance.name, instance.stateDir, instance.runDir, instance.cacheDir, apiSocketPath(instance)]);
  }
});

test('[L10] eight calls at once start one daemon, and all find it ready', async (t) => {
  const { places, argv, starts } = await openPlaces(t);
  const said: string[] = [];
  const started = await Promise.all(Array.from({ length: 8 }, () => ensureDaemon({ places, daemonArgv: argv('slow'), limitMs: 20_000, progress: (line) => said.push(line) })));
  equal(started.filter((one) => one).length, 1);
  equal((await starts()).length, 1);
  equal(said.includes('the daemon waits for machines: adopting 2 machines'), true);
  equal(await ensureDaemon({ places, daemonArgv: argv('die'), prepare: async () => { throw new Error('must not be called'); } }), false);
});

test('[L16] a daemon that is ending is waited for, and the next one is started', async (t) => {
  const { places, argv, starts } = await openPlaces(t);
  const [program, ...args] = argv('ending');
  const ending = spawn(program, args, { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => { ending.once('exit', () => resolve()); });
  const client = openClient(places.socketPath);
  await waitUntil(() => client.call('getLiveness').then(() => true, () => false), { what: 'the ending daemon answers', limitMs: 10_000 });
  equal(await ensureDaemon({ places, daemonArgv: argv(), limitMs: 20_000 }), true);
  await ended;
  equal((await starts()).length, 2);
  client.close();
});

test('[L10] a daemon that was killed is started again', async (t) => {
  const { places, argv, starts } = await openPlaces(t);
  equal(await ensureDaemon({ places, daemonArgv: argv(), limitMs: 20_000 }), true);
  const [pid] = await starts();
  process.kill(pid as number, 'SIGKILL');
  await waitUntil(async () => (await identifyProcess(pid as number)) === undefined, { what: 'it is gone', limitMs: 5_000 });
  equal(await ensureDaemon({ places, daemonArgv: argv(), limitMs: 20_000 }), true);
  equal((await starts()).length, 2);
});

test('[L10] a daemon that dies at its start is explained by its last lines, and the lock is free again', async (t) => {
  const { places, argv } = await openPlaces(t);
  for (const attempt of [1, 2]) {
    await rejects(ensureDaemon({ places, daemonArgv: argv('die'), limitMs: 20_000 }), (error: Error & { code: string }) => {
      equal(error.code, 'client.daemonDied', `attempt ${attempt}`);
      match(error.message, /exit code 3[^]*the store cannot be opened/);
      return true;
    });
  }
});

test('[L10] one that said why it cannot start is told in its words alone, not in those of an earlier one', async (t) => {
  const { places, argv } = await openPlaces(t);
  await rejects(ensureDaemon({ places, daemonArgv: argv('refuse'), limitMs: 20_000 }), { code: 'client.daemonDied', message: 'the daemon cannot start: no space is left for the store', advice: `free space on its file system; its whole log is ${places.daemonLog}` });
  await rejects(ensureDaemon({ places, daemonArgv: argv('die'), limitMs: 20_000 }), { code: 'client.daemonDied', message: 'the daemon ended at its start (exit code 3):\nno room on the disk\nthe store cannot be opened' });
});

test('[L10] a host that cannot be prepared starts no daemon', async (t) => {
  const { places, argv, starts } = await openPlaces(t);
  await rejects(ensureDaemon({ places, daemonArgv: argv(), prepare: async () => { throw new Error('no network'); } }), /no network/);
  deepEqual(await starts(), []);
});

test('[L10] an operation is followed across a restart of the daemon', async (t) => {
  const { places, argv, starts } = await openPlaces(t);
  await ensureDaemon({ places, daemonArgv: argv(), limitMs: 20_000 });
  const client = openClient(places.socketPath);
  const operation = await client.call('putApp', { params: { app: 'shop' }, body: { workingDir: '/srv' } });
  const statuses: string[] = [];
  for await (const seen of followOperation(client, operation.id)) statuses.push(seen.status);
  deepEqual(statuses, ['running', 'succeeded']);
  process.kill((await starts())[0] as number, 'SIGKILL');
  const revive = async () => { await ensureDaemon({ places, daemonArgv: argv(), limitMs: 20_000 }); };
  const following = (async () => { for await (const seen of followOperation(client, operation.id, { revive })) statuses.push(seen.status); })();
  // The fake forgets its operations with its life: what matters is that a new daemon was started and asked.
  await rejects(following, { code: 'fake.notFound' });
  equal((await starts()).length, 2);
  client.close();
});

test('[L2] a connection that the daemon has closed since is no failure, for what changes something neither', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strata-client-'));
  const path = join(folder, 'api.sock');
  const heard: string[] = [];
  const server = createServer((socket) => socket.on('error', () => undefined).on('data', (bytes) => {
    heard.push(String(bytes).split(' ')[0] ?? '');
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}');
    setTimeout(() => socket.destroy(), 1); // as one that was idle for too long
  }));
  server.listen(path);
  await once(server, 'listening');
  const client = openClient(path);
  t.after(async () => {
    client.close();
    server.close();
    await rm(folder, { recursive: true, force: true });
  });
  for (let at = 0; at < 300; at += 1) {
    const began = performance.now();
    await (at % 2 === 0 ? client.call('listApps') : client.call('pauseMachine', { params: { machine: 'box' }, body: {} }));
    while (performance.now() < began + 1 + (at % 30) / 10); // until the server has closed and nobody here has heard of it
  }
  deepEqual(heard, Array.from({ length: 300 }, (_, at) => (at % 2 === 0 ? 'GET' : 'POST')), 'and each was asked once');
});

test('[L2] errors keep code, status and advice; nobody there is an error of its own', async (t) => {
  const { places, argv } = await openPlaces(t);
  const client = openClient(places.socketPath);
  await rejects(client.call('listApps'), { code: 'client.unreachable' });
  await ensureDaemon({ places, daemonArgv: argv(), limitMs: 20_000 });
  await rejects(client.call('getMachine', { params: { machine: 'nosuch' } }), { code: 'fake.notFound', status: 404, advice: 'list what there is' });
  await rejects(client.call('removeMachine', { params: { machine: 'box' }, ifMatch: 1 }), { code: 'api.preconditionFailed', status: 412 });
  equal((await client.call('putApp', { params: { app: 'shop' }, body: { workingDir: '/srv' }, waitSeconds: 5 })).status, 'succeeded');
  client.close();
});
