/** The resident and its small client: what is answered, what is left to the command itself, and how it ends. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { existsSync, rmSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { waitUntil } from '#base';
import { openTestApi, type TestApi } from '../../src/api/test-api.ts';
import { verbs } from '../command-tree.ts';
import { answerRequest } from './answer-request.ts';
import { endResident } from './end-resident.ts';
import { ensureClient } from './ensure-client.ts';
import { encodeAnswer, endRequest, parseRequest, requestLength } from './frames.ts';
import { residentClient, residentSocket } from './places.ts';
import { serveRequests, type ResidentOptions } from './serve-requests.ts';
import { fingerprint } from './sources.ts';

const launcher = fileURLToPath(new URL('../../strata', import.meta.url));

interface Ended { readonly code: number | null; readonly out: string; readonly err: string }
interface Lab extends TestApi {
  readonly socketPath: string;
  readonly ended: Promise<void>;
  /** The client; what it does not get answered it leaves to `echo itself -- WORDS`. */
  run(words: readonly string[], options?: { readonly cwd?: string; readonly env?: Record<string, string>; readonly interruptAt?: Promise<void> }): Promise<Ended>;
}

const client = (async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strata-resident-client-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true })); // nothing asynchronous happens any more
  await ensureClient(join(folder, 'client'));
  return join(folder, 'client');
})();

const place = (name: string): string => { const { dev, ino } = statSync(name, { bigint: true }); return `${dev} ${ino}`; };
const ownRoot = `${place('/')} ${place('/proc/self/ns/mnt')}`;

async function runClient(argv: readonly string[], options: { readonly cwd: string; readonly env: Record<string, string>; readonly interruptAt?: Promise<void> }): Promise<Ended> {
  const child = spawn(await client, argv, { cwd: options.cwd, env: options.env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (part: string) => { out += part; });
  child.stderr.setEncoding('utf8').on('data', (part: string) => { err += part; });
  void options.interruptAt?.then(() => child.kill('SIGINT'));
  return new Promise((resolve) => { child.once('close', (code) => resolve({ code, out, err })); });
}

/** A resident of this process beside an API of its own. */
async function openLab(t: TestContext, changed: Partial<ResidentOptions> = {}): Promise<Lab> {
  // Before the API, whose folder it is in, goes.
  t.after(async () => { await endResident(socketPath); await ended; });
  const api = await openTestApi(t);
  const socketPath = join(api.folder, 'resident.sock');
  const ended = serveRequests({ socketPath, idleMs: 60_000, root: ownRoot, fingerprint: () => 'same', answer: answerRequest, ...changed });
  const env = { PATH: process.env['PATH'] ?? '', STRATA_INSTANCE: 'clitst', STRATA_RUN: join(api.folder, 'run'), STRATA_STATE: join(api.folder, 'state') };
  await waitUntil(() => existsSync(socketPath), { what: 'the resident listens', limitMs: 5_000 });
  return {
    ...api, socketPath, ended,
    run: (words, options = {}) => runClient([socketPath, '/bin/echo', 'itself', '--', ...words], { cwd: api.folder, ...options, env: { ...env, ...options.env } }),
  };
}

test('[L17] a command that only asks is answered as the command itself answers: output, exit code, words, variables and folder', async (t) => {
  const { run, folder } = await openLab(t);
  equal((await run(['app', 'ls', '-o', 'name'])).out, 'shop\n');
  const asked = ['ps -p shop -o json', 'machine ls', 'machine inspect box', 'machine inspect nosuch', 'ps --wrong', 'machine', 'machine ls --help', 'nosuch', '--version', '__complete -- machine inspect ', 'app ls -o xml', 'inspect nosuch'];
  for (const words of asked.map((text) => text.split(' '))) {
    const own = await new Promise<Ended>((resolve) => {
      const child = spawn(launcher, words, { cwd: folder, env: { PATH: process.env['PATH'] ?? '', STRATA_RESIDENT: 'no', STRATA_INSTANCE: 'clitst', STRATA_RUN: join(folder, 'run') }, stdio: ['ignore', 'pipe', 'pipe'] });
      let [out, err] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (part: string) => { out += part; });
      child.stderr.setEncoding('utf8').on('data', (part: string) => { err += part; });
      child.once('close', (code) => resolve({ code, out, err }));
    });
    deepEqual(withoutRequestIds(await run(words)), withoutRequestIds(own), words.join(' '));
  }
  await mkdir(join(folder, 'shop'));
  await writeFile(join(folder, 'shop', 'compose.yaml'), 'name: shop\nservices: {}\n');
  match((await run(['config'], { cwd: join(folder, 'shop') })).out, /name: shop/);
  match((await run(['config'])).err, /there is no Compose file in /);
  match((await run(['config'], { env: { COMPOSE_FILE: 'shop/compose.yaml' } })).out, /name: shop/);
});

const withoutRequestIds = (ended: Ended): Ended => ({ ...ended, out: ended.out.replaceAll(/"?(requestId|now|startedAt)"?:.*/g, '') });

test('[L17] whatever does more than ask and print is the command\'s own, and so is starting a daemon', async (t) => {
  const { run, backend, folder } = await openLab(t);
  for (const words of [['up'], ['down', '-p', 'shop'], ['exec', 'web', 'sh'], ['logs'], ['serve', '--stop'], ['machine', 'rm', 'box'], ['events']]) {
    deepEqual(await run(words), { code: 0, out: `itself -- ${words.join(' ')}\n`, err: '' });
  }
  deepEqual(backend.changes, []);
  equal((await run(['app', 'ls'], { env: { STRATA_RUN: join(folder, 'nowhere') } })).out, 'itself -- app ls\n');
  equal((await run(['app', 'ls'], { env: { STRATA_RUN: 'run' } })).out, 'itself -- app ls\n', 'a folder that is relative to the caller\'s');
  for (const verb of verbs.filter((one) => one.resident === true)) {
    equal(verb.operations.every((name) => /^(get|list)/.test(name) && !name.endsWith('Logs') || name === 'resolveApp'), true, `${verb.name} uses ${verb.operations.join(', ')}`);
    equal(verb.passThrough, undefined, verb.name);
  }
});

test('[L17] a resident that is not there, ends, says half or nothing: the command is run, and nothing is printed twice', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strata-resident-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const whole = encodeAnswer({ code: 3, out: 'printed\n', err: 'said\n' });
  const manners: Record<string, (socket: Socket) => void> = {
    closes: (socket) => { socket.destroy(); },
    half: (socket) => { socket.end(whole.subarray(0, whole.length - 1)); },
    head: (socket) => { socket.end(whole.subarray(0, 5)); },
    garbage: (socket) => { socket.end(Buffer.alloc(64, 255)); },
    silent: () => {},
  };
  const command = ['/usr/bin/env', 'sh', '-c', 'echo itself $STRATA_RESIDENT', '--', 'ps'];
  const at = async (path: string) => runClient([path, ...command], { cwd: folder, env: { PATH: process.env['PATH'] ?? '' } });
  equal((await at(join(folder, 'nobody'))).out, 'itself absent\n');
  equal((await at(join(folder, 'x'.repeat(200)))).out, 'itself absent\n');
  for (const [name, manner] of Object.entries(manners)) {
    const path = join(folder, name);
    const sockets = new Set<Socket>();
    const server = createServer((socket) => { sockets.add(socket.on('error', () => {})); socket.once('data', () => { manner(socket); }); });
    await new Promise<void>((resolve) => { server.listen(path, resolve); });
    deepEqual(await at(path), { code: 0, out: 'itself declined\n', err: '' }, name);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => { server.close(resolve); });
  }
  const path = join(folder, 'whole');
  const server = createServer((socket) => { socket.once('data', () => { socket.end(whole); }); });
  await new Promise<void>((resolve) => { server.listen(path, resolve); });
  deepEqual(await at(path), { code: 3, out: 'printed\n', err: 'said\n' });
  await new Promise((resolve) => { server.close(resolve); });
});

test('[L17] a caller that is interrupted ends with 130, and the resident stops asking for it', async (t) => {
  const [asked, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { run } = await openLab(t, { answer: (_request, interrupted) => new Promise(() => { interrupted.addEventListener('abort', () => { gone.resolve(); }); asked.resolve(); }) });
  deepEqual(await run(['ps'], { interruptAt: asked.promise }), { code: 130, out: '', err: '' });
  await gone.promise;
});

test('[L17] a reader that closes early is no failure', async (t) => {
  const lab = await openLab(t, { answer: async () => ({ code: 0, out: 'x'.repeat(1 << 20), err: '' }) });
  const child = spawn(await client, [lab.socketPath, '/bin/false', '--', 'ps'], { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.destroy();
  equal(await new Promise((resolve) => { child.once('close', resolve); }), 0);
});

test('[L18] who sees other files is not answered', async (t) => {
  const { run } = await openLab(t, { root: '1 2 3 4' });
  equal((await run(['app', 'ls'])).out, 'itself -- app ls\n');
});

test('[L18] it ends where nobody asks, where its sources change, where it is told to, and where another takes its place', { timeout: 30_000 }, async (t) => {
  const idle = await openLab(t, { idleMs: 200 });
  await idle.ended;
  equal(existsSync(idle.socketPath), false);

  let sources = 'before';
  const upgraded = await openLab(t, { fingerprint: () => sources });
  equal((await upgraded.run(['app', 'ls', '-o', 'name'])).out, 'shop\n');
  sources = 'after';
  equal((await upgraded.run(['app', 'ls', '-o', 'name'])).out, 'itself -- app ls -o name\n');
  await upgraded.ended;

  const told = await openLab(t);
  await endResident(told.socketPath);
  await told.ended;

  const first = await openLab(t, { idleMs: 1_000 });
  const second = serveRequests({ socketPath: first.socketPath, idleMs: 60_000, root: ownRoot, fingerprint: () => '', answer: async () => ({ code: 0, out: 'second\n', err: '' }) });
  await first.ended;
  equal((await first.run(['ps'])).out, 'second\n', 'the first left the second\'s socket alone');
  await endResident(first.socketPath);
  await second;
});

test('[L18] a change of a source is seen, of a test not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strata-sources-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'deep'));
  for (const name of ['deep/a.ts', 'deep/a.test.ts', 'lock.json']) await writeFile(join(folder, name), 'x');
  const now = () => fingerprint([folder], [join(folder, 'lock.json')]);
  const before = now();
  await utimes(join(folder, 'deep/a.test.ts'), 1, 1);
  equal(now(), before);
  for (const name of ['deep/a.ts', 'lock.json']) {
    const last = now();
    await utimes(join(folder, name), 1, 1);
    ok(now() !== last, name);
  }
  const last = now();
  await writeFile(join(folder, 'b.ts'), '');
  ok(now() !== last, 'a new one');
});

test('[L17] frames that are none are not read as one', () => {
  const frame = (text: string): Buffer => { const head = endRequest().subarray(0, 4); return Buffer.concat([head, Buffer.from(text)]); };
  const run = `1\0run\0${'1\0'.repeat(4)}1\0${80}\0${24}\0${'0\0'.repeat(3)}/srv\0`;
  equal(parseRequest(endRequest()), 'end');
  equal(requestLength(endRequest()), endRequest().length);
  equal(requestLength(Buffer.alloc(3)), undefined);
  deepEqual(parseRequest(frame(`${run}2\0ps\0\0A=b=c\0B\0`)), { root: '1 1 1 1', out: { terminal: true, columns: 80, rows: 24 }, err: { terminal: false, columns: 0, rows: 0 }, cwd: '/srv', argv: ['ps', ''], env: { A: 'b=c', B: '' } });
  for (const text of ['', '1', '2\0end\0', '1\0end', '1\0other\0', '1\0run\0', `${run}`, `${run}3\0ps\0`, `${run}-1\0`, `${run}x\0ps\0`]) equal(parseRequest(frame(text)), undefined, JSON.stringify(text));
});

test('[L17] [L18] a command that asks leaves a resident behind, with which the next one needs no Node, and which `serve --stop` ends', { timeout: 60_000 }, async (t) => {
  t.after(() => endResident());
  const api = await openTestApi(t);
  const env = { PATH: process.env['PATH'] ?? '', STRATA_INSTANCE: 'clitst', STRATA_RUN: join(api.folder, 'run'), STRATA_STATE: join(api.folder, 'state') };
  // Another test may end it meanwhile (`serve --stop`): then a later command leaves one again.
  await waitUntil(async () => {
    const child = spawn(launcher, ['app', 'ls'], { env, stdio: 'ignore' });
    await new Promise((resolve) => { child.once('close', resolve); });
    await waitUntil(() => existsSync(residentClient) && existsSync(residentSocket), { what: 'a resident begins', limitMs: 10_000 });
    const asked = await runClient([residentSocket, '/bin/false', '--', 'app', 'ls', '-o', 'name'], { cwd: '/', env });
    return asked.code === 0 && asked.out === 'shop\n';
  }, { what: 'a resident answers', limitMs: 45_000 });
  const stop = spawn(launcher, ['serve', '--stop'], { env: { ...env, STRATA_RUN: join(api.folder, 'nowhere') }, stdio: 'ignore' });
  equal(await new Promise((resolve) => { stop.once('close', resolve); }), 0);
  equal(existsSync(residentSocket), false);
});
