/** The example as a newcomer meets it: through the command line and a browser, from nothing to nothing. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { waitUntil } from '#base';
import { machineTraces } from '../support/census.ts';
import { freePort } from '../support/free-port.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tgb', 160);
const folder = join(strata.folder, 'guestbook');
let port = 0;
let hosts = '';

before(async () => {
  port = await freePort();
  cpSync(fileURLToPath(new URL('../../examples/guestbook', import.meta.url)), folder, { recursive: true });
  change('"8080:80"', `"${port}:80"`);
});
after(() => endClean(strata));

const change = (from: string, to: string): void => {
  const path = join(folder, 'compose.yaml');
  const text = readFileSync(path, 'utf8');
  assert.ok(text.includes(from), from);
  writeFileSync(path, text.replace(from, to));
};
const page = async (path: string, options: RequestInit = {}): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(20_000), ...options });
const entries = async (): Promise<string[]> => ((await (await page('/api/entries')).json()) as { entries: { text: string }[] }).entries.map((one) => one.text);
const sign = async (text: string): Promise<void> => { const answer = await page('/api/entries', { method: 'POST', body: JSON.stringify({ name: 'Ada', text }) }); assert.ok(answer.ok, String(answer.status)); };

test('up from nothing: every service is healthy, addresses are all that stdout has', { timeout: 400_000 }, async (context) => {
  const up = await strata.ok(['up', folder], { limitMs: 390_000 });
  const lines = up.stdout.trim().split('\n');
  assert.equal(lines[0], `http://127.0.0.1:${port}`);
  assert.match(lines[1] ?? '', /^http:\/\/web\.guestbook\.localhost:\d+$/);
  assert.equal(lines.length, 2);
  hosts = lines[1] ?? '';
  assert.match(up.stderr, /done {4}service web/);
  const all = await strata.containers('guestbook');
  assert.deepEqual(all.map((one) => `${one.name} ${one.architecture} ${one.health}`).sort(), [
    'guestbook-api-1 x86_64 healthy', 'guestbook-db-1 x86_64 healthy', 'guestbook-seal-1 aarch64 healthy', 'guestbook-web-1 x86_64 healthy', 'guestbook-web-2 x86_64 healthy',
  ]);
  assert.deepEqual(all.map((one) => one.restarts), all.map(() => 0), 'nothing had to be started twice');
  const told = JSON.parse((await strata.ok(['ps', '-a', '-o', 'json'])).stdout) as { items: { name: string }[] };
  assert.deepEqual(told.items.map((one) => one.name).sort(), all.map((one) => one.name).sort());
  context.diagnostic(`up with images to build took ${Math.round(up.ms)} ms`);
});

test('the page, its two replicas, the entries and the seal of another architecture answer a browser', { timeout: 60_000 }, async () => {
  assert.match(await (await page('/')).text(), /<title>Guest book<\/title>/);
  const replicas = new Set<string>();
  for (let visit = 0; visit < 12; visit += 1) replicas.add((await page('/whoami')).headers.get('x-replica') ?? '');
  assert.equal(replicas.size, 2, [...replicas].join());
  assert.match(await (await page('/seal?name=Ada')).text(), /aarch64/);
  const byHost = await new Promise<number>((resolve, reject) => {
    const url = new URL(hosts);
    request({ host: '127.0.0.1', port: url.port, path: '/', headers: { host: url.host } }, (answer) => { answer.resume(); resolve(answer.statusCode ?? 0); }).once('error', reject).end();
  });
  assert.equal(byHost, 200);
  await sign('first');
  assert.deepEqual(await entries(), ['first']);
});

test('a second up changes nothing at all', { timeout: 60_000 }, async () => {
  const look = async () => ({ containers: (await strata.containers()).map((one) => [one.id, one.startedAt, one.restarts]), vmms: [...strata.pidsOf('qemu-system')].sort(), revisions: JSON.stringify((await strata.client().call('getApp', { params: { app: 'guestbook' } }))) });
  const before = await look();
  const up = await strata.ok(['up', folder]);
  assert.deepEqual(await look(), before);
  // How quick it is on a host with nothing else to do: in-time.guest.test.ts.
  assert.ok(up.ms < 10_000, `${Math.round(up.ms)} ms`);
});

test('exec says what the program says, with its exit code; logs are read', { timeout: 60_000 }, async () => {
  assert.equal((await strata.ok(['exec', '-p', 'guestbook', '-T', 'db', 'redis-cli', 'ping'])).stdout, 'PONG\n');
  assert.equal((await strata.cli(['exec', '-p', 'guestbook', '-T', 'web', 'sh', '-c', 'echo oh >&2; exit 37'])).code, 37);
  const missing = await strata.cli(['exec', '-p', 'guestbook', '-T', 'web', 'no-such-program']);
  assert.equal(missing.code, 127, missing.stderr);
  assert.match((await strata.ok(['logs', '-p', 'guestbook', 'api'])).stdout, /guest book api on port 8000/);
  assert.equal((await strata.cli(['exec', '-p', 'guestbook', '-T', 'nobody', 'true'])).code, 2);
});

test('replicas follow the file; the others stay as they are', { timeout: 120_000 }, async () => {
  const ids = async () => Object.fromEntries((await strata.containers()).map((one) => [one.name, one.id]));
  const before = await ids();
  change('replicas: 2', 'replicas: 3');
  await strata.ok(['up', folder]);
  const more = await ids();
  assert.equal(Object.keys(more).length, 6);
  for (const [name, id] of Object.entries(before)) assert.equal(more[name], id, name);
  change('replicas: 3', 'replicas: 1');
  await strata.ok(['up', folder]);
  await waitUntil(async () => Object.keys(await ids()).length === 4, { what: 'two replicas are gone', limitMs: 30_000 });
  assert.equal((await ids())['guestbook-web-1'], before['guestbook-web-1']);
  assert.ok((await page('/')).ok);
});

test('an entry outlives a restart of its database, and down and up', { timeout: 180_000 }, async (context) => {
  await strata.ok(['restart', '-p', 'guestbook', 'db']);
  assert.deepEqual(await waitUntil(async () => { const list = await entries().catch(() => undefined); return list?.length === 1 && list; }, { what: 'the entries are back', limitMs: 30_000 }), ['first']);
  await strata.ok(['down', '-p', 'guestbook']);
  assert.deepEqual(machineTraces(strata.instance), []);
  assert.deepEqual(await strata.containers(), []);
  // Nobody listens any more; a connection kept from before is told so by the worker that is leaving.
  const answer = await page('/').catch(() => undefined);
  assert.ok(answer === undefined || !answer.ok);
  const up = await strata.ok(['up', folder]);
  assert.deepEqual(await entries(), ['first']);
  context.diagnostic(`up with images present took ${Math.round(up.ms)} ms`);
});

test('down -v takes the data too, and twice is as good as once', { timeout: 180_000 }, async () => {
  await strata.ok(['down', '-v', '-p', 'guestbook']);
  assert.deepEqual((JSON.parse((await strata.ok(['volume', 'ls', '-o', 'json'])).stdout) as { items: unknown[] }).items, []);
  assert.deepEqual(machineTraces(strata.instance), []);
  const again = await strata.cli(['down', '-v', '-p', 'guestbook']);
  assert.ok(again.code === 0 || again.stderr.includes('there is no app guestbook'), again.stderr);
});
