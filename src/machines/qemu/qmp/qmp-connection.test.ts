/** The QMP client against servers that behave, misbehave and attack. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#base';
import { openMonitor } from './open-monitor.ts';
import { connectQmp } from './qmp-connection.ts';
import type { QmpEvent } from './qmp-messages.ts';

const greeting = '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "x"}, "capabilities": ["oob"]}}\r\n';
let folder: string;
let count = 0;
before(async () => { folder = await mkdtemp('/tmp/strata-qmp-'); });
after(async () => { await rm(folder, { recursive: true, force: true }); });

interface FakeQemu { readonly path: string; readonly sockets: Socket[]; close(): Promise<void> }
type Answer = (command: { execute: string; arguments: unknown; id: number }, socket: Socket) => void;

async function fakeQemu(answer: Answer = () => undefined, hello = greeting): Promise<FakeQemu> {
  const path = join(folder, String(count += 1));
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write(hello);
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const command = JSON.parse(text.slice(0, end)) as { execute: string; arguments: unknown; id: number };
        text = text.slice(end + 1);
        if (command.execute === 'qmp_capabilities') socket.write(`{"return": {}, "id": ${command.id}}\r\n`);
        else answer(command, socket);
      }
    });
  });
  await new Promise<void>((resolve) => { server.listen(path, resolve); });
  return { path, sockets, close: () => new Promise((resolve) => { for (const socket of sockets) socket.destroy(); server.close(() => resolve()); }) };
}

test('[Q1] greets, negotiates, numbers commands; answers find their command in any order', async () => {
  const held: (() => void)[] = [];
  const qemu = await fakeQemu(({ execute, arguments: given, id }, socket) => {
    held.unshift(() => socket.write(`{"return": ${JSON.stringify({ execute, given })}, "id": ${id}}\r\n`));
    if (held.length === 2) for (const say of held) say();
  });
  const qmp = await connectQmp(qemu.path);
  equal(qmp.version, '7.2.22');
  deepEqual(await Promise.all([qmp.execute('first', { a: 1 }), qmp.execute('second')]), [{ execute: 'first', given: { a: 1 } }, { execute: 'second', given: {} }]);
  qmp.close();
  await qmp.closed;
  await rejects(qmp.execute('third'), { code: 'qmp.gone' });
  await qemu.close();
});

test('[Q2] QEMU\'s refusal comes with its words; a late answer harms nobody', async () => {
  const qemu = await fakeQemu(({ execute, id }, socket) => {
    if (execute === 'bad') socket.write(`{"error": {"class": "GenericError", "desc": "no such thing"}, "id": ${id}}\r\n`);
    if (execute === 'slow') setTimeout(() => socket.write(`{"return": {}, "id": ${id}}\r\n{"return": {}, "id": 999}\r\n`), 100);
    if (execute === 'good') socket.write(`{"return": 5, "id": ${id}}\r\n`);
  });
  const qmp = await connectQmp(qemu.path);
  await rejects(qmp.execute('bad'), { code: 'qmp.refused', message: 'QEMU refuses bad: no such thing', kind: 'refused' });
  await rejects(qmp.execute('slow', {}, { timeoutMs: 30 }), { code: 'qmp.timeout' });
  await systemClock.wait(120);
  equal(await qmp.execute('good'), 5);
  qmp.close();
  await qemu.close();
});

test('[Q3] events are read in order; unknown and misshapen ones do no harm; a flood of them is bounded', async () => {
  const qemu = await fakeQemu(({ id }, socket) => {
    socket.write('{"event": "NEVER_HEARD_OF", "data": {"x": [1]}, "more": 1}\r\n{"event": 7}\r\n[]\r\nnull\r\n{"what": "ever"}\r\n{"event": "SHUTDOWN"}\r\n');
    socket.write(Array.from({ length: 5000 }, (_, at) => `{"event": "E", "data": {"at": ${at}}}\r\n`).join(''));
    socket.write(`{"return": {}, "id": ${id}}\r\n`);
  });
  const qmp = await connectQmp(qemu.path);
  const stop = new AbortController();
  const seen: QmpEvent[] = [];
  const reading = (async () => { for await (const event of qmp.events(stop.signal)) { seen.push(event); if (event.data['at'] === 4999) return; } })();
  await qmp.execute('go');
  await reading;
  deepEqual(seen.at(-1), { event: 'E', data: { at: 4999 } });
  ok(seen.length <= 5002);
  const waiting = qmp.events(stop.signal)[Symbol.asyncIterator]().next();
  stop.abort();
  equal((await waiting).done, true);
  qmp.close();
  await qemu.close();
});

for (const [what, bytes] of [
  ['garbage', 'hello there\r\n'],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0, 10])],
  ['JSON cut off', '{"return": {\r\n'],
  ['a line without end', `{"return": "${'x'.repeat(1024 * 1024 + 100)}`],
  ['a line longer than 1 MiB', `{"return": "${'x'.repeat(1024 * 1024)}", "id": 2}\r\n`],
] as const) {
  test(`[Q4] ${what} ends the connection, the next is a new one`, async () => {
    let attack = true;
    const qemu = await fakeQemu(({ id }, socket) => { socket.write(attack ? bytes : `{"return": 1, "id": ${id}}\r\n`); });
    const monitor = openMonitor(qemu.path);
    await rejects(monitor.execute('query-status'), { code: 'qmp.gone' });
    attack = false;
    equal(await monitor.execute('query-status'), 1);
    equal(qemu.sockets.length, 2);
    monitor.close();
    await qemu.close();
  });
}

test('[Q5] a monitor that is not there, is silent or hangs up is told as such', async () => {
  await rejects(connectQmp(join(folder, 'nobody')), { code: 'qmp.gone' });
  const silent = await fakeQemu(undefined, '');
  await rejects(connectQmp(silent.path, { timeoutMs: 50 }), { code: 'qmp.timeout' });
  await silent.close();
  const dying = await fakeQemu((_, socket) => socket.destroy());
  const qmp = await connectQmp(dying.path);
  await Promise.all([rejects(qmp.execute('one'), { code: 'qmp.gone' }), rejects(qmp.execute('two'), { code: 'qmp.gone' })]);
  equal(qmp.isOpen, false);
  await dying.close();
});
