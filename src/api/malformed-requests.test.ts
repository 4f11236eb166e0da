/**
 * A thousand requests that are wrong in one way or several, made from the contract: none may be answered
 * with 5xx, crash the server, or reach the backend as a change.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { seededDice, type Dice } from '#base';
import { endpoints, pathOf, parameterNames, requestShape, type Endpoint, type OperationId } from '#contract';
import { problemSchema } from '../../contract/document.ts';
import { openTestApi, type Reply } from './test-api.ts';

const wanted = 1_000;
const seed = Number(process.env['STRATA_SEED'] ?? 20_261);

interface Wrong { readonly what: string; readonly method: string; readonly path: string; readonly raw?: string | Uint8Array; readonly headers: Record<string, string> }

const nasty: readonly unknown[] = [
  null, -1, 1e308, 0.5, '', ' ', 'a'.repeat(300), '../../etc/passwd', 'a\u0000b', '\u202e', '$(reboot)', '-rf', 'a,b=c', '%2e%2e', '\u001b[2J', '{{x}}', [], {}, [[]], { __proto__x: 1 }, true, 'NaN', '\ud800', 'é'.repeat(200),
];
const pick = <T>(dice: Dice, list: readonly T[]): T => list[Math.floor(dice.fraction() * list.length)] as T;
const ids = (Object.entries(endpoints) as [OperationId, Endpoint][]).filter(([id]) => id !== 'watchEvents');
const bodies = ids.filter(([id]) => requestShape(id).body !== undefined);
const json = { 'Content-Type': 'application/json' };

const kinds: readonly ((dice: Dice) => Wrong)[] = [
  // A field that no schema knows, beside anything.
  (dice) => { const [id, { method }] = pick(dice, bodies); return wrong('extra field', method, goodPath(id), JSON.stringify({ [`x${dice.fraction()}`]: pick(dice, nasty) })); },
  // Each known field with each nasty value; an own wrong field makes sure that no valid request is among them.
  (dice) => {
    const [id, { method }] = pick(dice, bodies);
    const names = Object.keys(requestShape(id).body?.shape ?? {});
    const body = Object.fromEntries(names.map((name) => [name, pick(dice, nasty)]));
    return wrong('wrong values', method, goodPath(id), JSON.stringify({ ...body, notKnown: 1 }));
  },
  (dice) => { const [id, { method }] = pick(dice, bodies); return wrong('no object', method, goodPath(id), JSON.stringify(pick(dice, [null, 1, 'x', [], [{}], true]))); },
  (dice) => { const [id, { method }] = pick(dice, bodies); return wrong('broken JSON', method, goodPath(id), pick(dice, ['{', '{"a":}', '{"a":1,}', 'NaN', '{"a":Infinity}', '\ufeff{}x', '{"a":"\\ud800', '{"a":01}', "{'a':1}"])); },
  (dice) => { const [id, { method }] = pick(dice, bodies); const depth = 33 + Math.floor(dice.fraction() * 100_000); return wrong('deep', method, goodPath(id), `${'['.repeat(depth)}${']'.repeat(depth)}`); },
  (dice) => { const [id, { method }] = pick(dice, bodies); return wrong('prototype', method, goodPath(id), '{"__proto__":{"name":"box"},"constructor":{"prototype":{}}}'); },
  (dice) => { const [id, { method }] = pick(dice, bodies); return wrong('no UTF-8', method, goodPath(id), Buffer.concat([Buffer.from('{"name":"'), Buffer.from(dice.bytes(20)).map((byte) => byte | 0x80), Buffer.from([0xff]), Buffer.from('"}')])); },
  (dice) => { const [id, { method }] = pick(dice, bodies); return wrong('type', method, goodPath(id), '{}', { 'Content-Type': pick(dice, ['text/html', 'multipart/form-data', 'application/x-www-form-urlencoded', 'application/jsonp', '*/*']) }); },
  (dice) => { const [id, { method }] = pick(dice, bodies); return wrong('encoding', method, goodPath(id), '{}', { ...json, 'Content-Encoding': pick(dice, ['gzip', 'br', 'deflate', 'zstd', 'x']) }); },
  (dice) => { const [id, { method }] = pick(dice, ids); return wrong('query', method, `${goodPath(id)}?${encodeURIComponent(`q${dice.fraction()}`)}=${encodeURIComponent(String(pick(dice, nasty.filter((one) => one !== '\ud800'))))}`); },
  (dice) => { const [id, { method }] = pick(dice, ids); return wrong('many values', method, `${goodPath(id)}?${'service=a&tail=1&since=x&'.repeat(1 + Math.floor(dice.fraction() * 200))}`); },
  (dice) => { const [id, { method }] = pick(dice, ids.filter(([one]) => parameterNames(one).length > 0)); return wrong('path value', method, pathWith(id, pick(dice, ['%00', '%0a', '%1b%5b2J', '%', '%zz', '%c3%28', '', 'a'.repeat(300), '%7f']))); },
  (dice) => wrong('path', pick(dice, ['GET', 'POST', 'PUT', 'DELETE']), pick(dice, ['/', '//', '/v1', '/v1/', '/v2/apps', '/v1/apps/', '/v1/../livez', '/v1/machines/box/../box', '/v1/machines//', '/%2e%2e/etc/passwd', '/v1/apps/shop/logs/', '*', '/__proto__', '/constructor', '/v1/machines/box/exec/x'])),
  (dice) => { const [id, endpoint] = pick(dice, ids); return wrong('method', pick(dice, ['PATCH', 'TRACE', 'PROPFIND', 'OPTIONS'].filter((method) => method !== endpoint.method)), goodPath(id)); },
  (dice) => { const [id, { method }] = pick(dice, ids.filter(([, one]) => one.method !== 'GET')); return wrong('if-match', method, `${goodPath(id)}?wrong=1`, undefined, { 'If-Match': pick(dice, ['3', 'W/"3"', '"x"', '"1","2"', '""', '"99999999999999999999"']) }); },
  (dice) => { const [id, endpoint] = pick(dice, ids.filter(([one, each]) => each.method === 'GET' && requestShape(one).query === undefined)); return wrong('body on GET', endpoint.method, goodPath(id), JSON.stringify(pick(dice, nasty)), json); },
];

const wrong = (what: string, method: string, path: string, raw?: string | Uint8Array, headers: Record<string, string> = raw === undefined ? {} : json): Wrong => ({ what, method, path, headers, ...(raw === undefined ? {} : { raw }) });
/** A path whose parameters name things that are there, so that nothing but the fault refuses it. */
const goodPath = (id: OperationId): string => pathOf(id, { host: 'here', machine: 'box', backend: 'box-data', disk: 'data', image: 'shop/web', app: 'shop', container: 'shop-web-1', operation: 'oaaaaaaaaab', engine: 'qemu', snapshot: 'snap-1' });
const pathWith = (id: OperationId, value: string): string => endpoints[id].path.replace(/\{\w+\}/, value);

test(`[A5] ${wanted} malformed requests: no 5xx, no effect, every refusal a problem`, async (t) => {
  const { ask, backend } = await openTestApi(t);
  const dice = seededDice(seed);
  const memoryBefore = process.memoryUsage.rss();
  const seen = new Map<string, number>();
  for (let at = 0; at < wanted; at += 1) {
    const one = (kinds[at % kinds.length] as (dice: Dice) => Wrong)(dice);
    const reply: Reply = await ask(one.method, one.path, { headers: one.headers, ...(one.raw === undefined ? {} : { raw: one.raw }) });
    const said = `${one.what}: ${one.method} ${one.path.slice(0, 120)} ${String(one.raw ?? '').slice(0, 120)} → ${reply.status} ${reply.text.slice(0, 200)}`;
    ok(reply.status >= 400 && reply.status < 500, said);
    ok(problemSchema.safeParse(reply.json).success, said);
    seen.set(one.what, (seen.get(one.what) ?? 0) + 1);
  }
  equal(seen.size, kinds.length);
  deepEqual(backend.changes, []);
  equal((await ask('GET', '/livez')).status, 200);
  ok(process.memoryUsage.rss() - memoryBefore < 80e6, 'memory grew');
});

test('[A5] bytes that are no HTTP are refused or cut off', async (t) => {
  const { sendBytes, ask, backend } = await openTestApi(t);
  const texts = [
    'nonsense\r\n\r\n', '\u0000\u0001\u0002\r\n\r\n', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, `GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(5_000)}\r\n`,
    'POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n', 'POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}',
    'POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n', 'GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n', 'GET /v1/machines HTTP/1.1\r\n\r\n',
    'GET /v1/machines/box/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', 'POST /v1/machines/box/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: strata-stream.v1\r\n\r\n',
    'GET /v1/machines/%00/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: strata-stream.v1\r\n\r\n', '\u0016\u0003\u0001\u0002\u0000\u0001',
  ];
  for (const one of texts) {
    const answer = await sendBytes(one);
    ok(/^HTTP\/1\.1 4\d\d /.test(answer), `${JSON.stringify(one.slice(0, 60))} → ${answer.slice(0, 120)}`);
  }
  deepEqual(backend.changes, []);
  equal((await ask('GET', '/livez')).status, 200);
});

test('[A5] a hundred clients that say half a request and leave, leave nothing', async (t) => {
  const { sendBytes, ask, backend } = await openTestApi(t);
  await Promise.all(Array.from({ length: 100 }, () => sendBytes('POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"name":', 100)));
  deepEqual(backend.changes, []);
  equal((await ask('GET', '/livez')).status, 200);
});
