/** The server as a client meets it: socket, problems, revisions, long work, streams, close. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProcess, silentLog, waitUntil } from '#base';
import { problemSchema } from '../../contract/document.ts';
import { openApi } from './open-api.ts';
import { openTestApi } from './test-api.ts';

test('[A1] the socket is 0600 in a folder of mode 0700', async (t) => {
  const { socketPath, folder } = await openTestApi(t);
  equal((await stat(socketPath)).mode & 0o777, 0o600);
  equal((await stat(join(folder, 'run'))).mode & 0o777, 0o700);
});

test('[A1] a second daemon is refused, a dead socket file is replaced', async (t) => {
  const { socketPath, backend, folder, ask } = await openTestApi(t);
  await rejects(openApi({ backend, socketPath, log: silentLog }), { code: 'api.alreadyServed' });
  equal((await ask('GET', '/livez')).status, 200);
  const stale = join(folder, 'stale.sock');
  // What a crash leaves behind: the file of a socket whose listener was killed.
  await runProcess([process.execPath, '-e', 'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, 9))', stale]).catch(() => undefined);
  equal((await stat(stale)).isSocket(), true);
  const second = await openApi({ backend, socketPath: stale, log: silentLog });
  equal((await stat(stale)).isSocket(), true);
  await second.close();
});

test('[A1] a socket path that the kernel would cut is refused', async (t) => {
  const { backend } = await openTestApi(t);
  await rejects(openApi({ backend, socketPath: `/tmp/${'x'.repeat(110)}`, log: silentLog }), { code: 'api.socketPathTooLong' });
});

test('[A2] problems have code, status by kind, advice and request id', async (t) => {
  const { ask } = await openTestApi(t);
  const expected: [string, string, unknown, number, string][] = [
    ['GET', '/v1/machines/nosuch', undefined, 404, 'fake.notFound'],
    ['POST', '/v1/machines', { name: 'refuse-me' }, 409, 'fake.refused'],
    ['POST', '/v1/apps/config', { workingDir: '/srv/broken' }, 400, 'compose.invalid'],
    ['GET', '/nowhere', undefined, 404, 'api.noSuchPath'],
    ['PATCH', '/v1/machines', undefined, 405, 'api.methodNotAllowed'],
    ['GET', '/v1/machines/box/exec', undefined, 426, 'api.upgradeRequired'],
    ['GET', '/v1/events?since=1', undefined, 410, 'store.compacted'],
  ];
  for (const [method, path, body, status, code] of expected) {
    const reply = await ask(method, path, { body });
    equal(reply.status, status, path);
    equal(reply.headers['content-type'], 'application/problem+json');
    const problem = problemSchema.parse(reply.json);
    equal(problem.code, code);
    equal(problem.status, status);
    equal(problem.requestId, reply.headers['x-request-id']);
    equal(problem.instance, path.split('?')[0]);
  }
  equal((await ask('PATCH', '/v1/machines')).headers['allow'], 'GET, POST');
});

test('[A2] diagnostics of a Compose file keep their place', async (t) => {
  const { ask } = await openTestApi(t);
  const problem = problemSchema.parse((await ask('POST', '/v1/apps/config', { body: { workingDir: '/srv/broken' } })).json);
  deepEqual(problem.diagnostics, [{ severity: 'error', code: 'compose.unknownKey', file: '/srv/broken/compose.yaml', line: 3, column: 5, message: 'unknown key imagee', advice: 'did you mean image?' }]);
});

test('[A3] every wrong field is named and the backend is not called', async (t) => {
  const { ask, backend } = await openTestApi(t);
  const reply = await ask('POST', '/v1/machines', { body: { name: 'Bad_Name', processors: 0, colour: 'red' } });
  equal(reply.status, 400);
  const pointers = problemSchema.parse(reply.json).errors.map((error) => error.pointer).sort();
  deepEqual(pointers, ['/body', '/body/name', '/body/processors']);
  equal((await ask('GET', '/v1/apps/shop/logs?tail=many')).status, 400);
  equal((await ask('GET', '/v1/machines?colour=red')).status, 400);
  equal((await ask('DELETE', '/v1/machines/box?force=perhaps')).status, 400);
  deepEqual(backend.changes, []);
});

test('[A4] bodies are bounded, JSON, UTF-8 and not too deep', async (t) => {
  const { ask, backend } = await openTestApi(t);
  const json = { 'Content-Type': 'application/json' };
  equal((await ask('POST', '/v1/machines', { raw: Buffer.alloc(4 * 1024 * 1024 + 1, 0x20), headers: json }).catch(() => ({ status: 413 }))).status, 413);
  equal((await ask('POST', '/v1/machines', { raw: '{"name":"box"}', headers: { 'Content-Type': 'text/plain' } })).status, 415);
  equal((await ask('POST', '/v1/machines', { raw: '{"name":"box"}', headers: { ...json, 'Content-Encoding': 'gzip' } })).status, 415);
  equal((await ask('POST', '/v1/machines', { raw: Uint8Array.from([0x7b, 0xff, 0x7d]), headers: json })).status, 400);
  equal((await ask('POST', '/v1/machines', { raw: '['.repeat(100_000), headers: json })).status, 400);
  equal((await ask('POST', '/v1/machines', { raw: '{"name":"box","__proto__":{"a":1}}', headers: json })).status, 400);
  equal((await ask('POST', '/v1/machines', { raw: `{"name":"${'{'.repeat(60)}"}`, headers: json })).json['code'], 'api.invalidRequest');
  deepEqual(backend.changes, []);
});

test('[A6] ETag and If-Match', async (t) => {
  const { ask, backend } = await openTestApi(t);
  const seen = await ask('GET', '/v1/machines/box');
  equal(seen.headers.etag, '"3"');
  equal((await ask('POST', '/v1/machines/box/stop', { headers: { 'If-Match': '"2"' } })).status, 412);
  equal((await ask('POST', '/v1/machines/box/stop', { headers: { 'If-Match': 'W/"3"' } })).status, 400);
  deepEqual(backend.changes, []);
  const changed = await ask('POST', '/v1/machines/box/stop', { headers: { 'If-Match': '"3"' } });
  equal(changed.status, 202);
  equal(changed.headers.etag, '"4"');
  deepEqual(backend.changes, ['stop box']);
});

test('[A7] long work answers 202 with its place, or 200 when it ends within the wait', async (t) => {
  const { ask } = await openTestApi(t);
  const started = await ask('PUT', '/v1/apps/shop', { body: { workingDir: '/srv/shop' } });
  equal(started.status, 202);
  equal(started.headers.location, `/v1/operations/${String(started.json['id'])}`);
  equal((await ask('GET', started.headers.location)).json['kind'], 'app.up');
  const waited = await ask('PUT', '/v1/apps/shop', { body: { workingDir: '/srv/shop' }, headers: { Prefer: 'wait=5' } });
  equal(waited.status, 200);
  equal(waited.headers['preference-applied'], 'wait=5');
  equal(waited.json['status'], 'succeeded');
});

test('[A8] events come as they happen, with ids, and go on after the last one seen', async (t) => {
  const { socketPath, backend, ask } = await openTestApi(t);
  const text = await new Promise<string>((resolve, reject) => {
    const outgoing = request({ socketPath, path: '/v1/events?since=6' }, (response) => {
      equal(response.headers['content-type'], 'text/event-stream');
      backend.emit({ revision: 7, kind: 'machine', id: 'mabcdefghij', change: 'put' });
      response.once('data', (part: Buffer) => { resolve(part.toString()); outgoing.destroy(); });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
  match(text, /^id: 7\nevent: change\ndata: \{"revision":7,/);
  equal((await ask('GET', '/v1/events', { headers: { 'Last-Event-ID': '2' } })).status, 410);
  equal((await ask('GET', '/v1/events', { headers: { 'Last-Event-ID': 'x' } })).status, 400);
});

test('[A8] the backend hears that a watcher left', async (t) => {
  const { socketPath, backend } = await openTestApi(t);
  let heard: AbortSignal | undefined;
  const events = backend.events;
  Object.assign(backend, { events: (since: number | undefined, signal: AbortSignal) => { heard = signal; return events(since, signal); } });
  const outgoing = request({ socketPath, path: '/v1/events' });
  outgoing.on('error', () => { /* destroyed below */ });
  outgoing.end();
  await waitUntil(() => heard !== undefined, { what: 'the watch began', limitMs: 2_000 });
  equal(heard?.aborted, false);
  outgoing.destroy();
  await waitUntil(() => heard?.aborted, { what: 'the backend was told', limitMs: 2_000 });
});

test('[A8] log lines come one JSON value a line', async (t) => {
  const { ask } = await openTestApi(t);
  const reply = await ask('GET', '/v1/apps/shop/logs?service=web&tail=1');
  deepEqual(reply.text.trimEnd().split('\n').map((line) => (JSON.parse(line) as { container: string }).container), ['shop-web-1']);
  equal((await ask('GET', '/v1/apps/nosuch/logs')).status, 404);
});

test('[A10] a stream that nobody reads does not fill memory', async (t) => {
  const { socketPath, backend } = await openTestApi(t);
  let given = 0;
  async function* endless(signal: AbortSignal) {
    const text = 'x'.repeat(16 * 1024);
    while (!signal.aborted) { given += 1; yield { at: '2026-01-02T03:04:05Z', service: 'web', container: 'shop-web-1', stream: 'stdout' as const, text }; }
  }
  Object.assign(backend.apps, { logs: async (_name: string, _query: unknown, signal: AbortSignal) => endless(signal) });
  const outgoing = request({ socketPath, path: '/v1/apps/shop/logs?follow=true' }, (response) => { response.pause(); });
  outgoing.on('error', () => { /* destroyed below */ });
  outgoing.end();
  let before = -1;
  await waitUntil(() => { const still = given > 0 && given === before; before = given; return still; }, { what: 'the producer waits', limitMs: 5_000, everyMs: 200 });
  ok(given < 500, `${given} lines of 16 KiB were taken in though nobody reads`);
  outgoing.destroy();
});

test('[A11] closing ends streams and connections and removes the socket', async (t) => {
  const { socketPath, api } = await openTestApi(t);
  const ended = new Promise<void>((resolve) => {
    const outgoing = request({ socketPath, path: '/v1/events' }, (response) => { response.on('close', resolve).resume(); response.on('error', () => { /* cut */ }); });
    outgoing.on('error', () => { /* cut */ });
    outgoing.on('socket', (socket) => { socket.once('data', () => { void api.close(); }); });
    outgoing.end();
  });
  await ended;
  await rejects(stat(socketPath), { code: 'ENOENT' });
});
