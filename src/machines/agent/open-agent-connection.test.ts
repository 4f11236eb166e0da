/** The host's side of the guest protocol against guests that keep it and guests that do not. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { encodeFrame, frameTypes, headerBytes, maxPayload, streamWindow } from '#guest-protocol';
import { waitUntil } from '#base';
import { openAgentConnection } from './open-agent-connection.ts';
import { connectTestGuest, helloOf, options, type TestGuest } from './test-guest.ts';

const execOf = (stream: number) => ({ container: '', stream, argv: ['x'], env: [], cwd: '', user: '', tty: null, stdin: true });
async function startExec(guest: TestGuest) {
  const stream = guest.connection.openStream();
  const called = guest.connection.call('exec', execOf(stream.id));
  const request = await guest.request('exec');
  guest.json({ id: request.id, result: { pid: 7 } });
  await called;
  return stream;
}

test('[M60] everything before the answer to this reset is thrown away, also a reset of somebody else', async () => {
  const stale = encodeFrame(frameTypes.reset, 0, Buffer.from('0'.repeat(32)));
  const half = encodeFrame(frameTypes.json, 0, Buffer.from('{"id":1,"result":{}}')).subarray(0, 20);
  const guest = await connectTestGuest(Buffer.concat([Buffer.alloc(100_000, 0x53), stale, half]));
  equal(guest.connection.hello.kernel, '6.12');
  guest.connection.close();
  await guest.connection.closed;
});

test('[M60] a line without an answer, with noise only, or with a wrong greeting is given up with its reason', async () => {
  const [silent] = duplexPair();
  await rejects(openAgentConnection(silent, { ...options, handshakeMs: 20 }), { code: 'agent.timeout' });
  ok(silent.destroyed);
  const [gone, far] = duplexPair();
  setImmediate(() => far.destroy());
  far.on('close', () => gone.destroy());
  await rejects(openAgentConnection(gone, options), { code: 'agent.gone' });
  const [noise, noisy] = duplexPair();
  noisy.on('error', () => undefined);
  noise.on('close', () => noisy.destroy());
  const flood = () => { if (!noisy.destroyed) noisy.write(Buffer.alloc(1024 * 1024, 0x41), () => setImmediate(flood)); };
  flood();
  await rejects(openAgentConnection(noise, options), { code: 'agent.protocol' });
  noisy.destroy();
});

test('[M67] an answer is told at its place on the line, before the event that came behind it in one piece', async () => {
  const guest = await connectTestGuest();
  const told: string[] = [];
  guest.connection.onEvent((event) => told.push(event.event));
  const asked = guest.connection.call('releaseDisk', { serial: 'd' }, { heard: () => told.push('heard') }).then(() => told.push('resolved'));
  const { id } = await guest.request('releaseDisk');
  const frames = [{ event: 'exit', stream: 1, code: 0 }, { id, result: {} }, { event: 'exit', stream: 1, code: 0 }].map((one) => encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify(one))));
  guest.wire.write(Buffer.concat(frames));
  await asked;
  deepEqual(told, ['exit', 'heard', 'exit', 'resolved']);
  const thrown = guest.connection.call('releaseDisk', { serial: 'e' }, { heard: () => { throw new Error('no room for it'); } });
  guest.json({ id: (await guest.request('releaseDisk')).id, result: {} });
  await rejects(thrown, /no room for it/);
  guest.connection.close();
});

test('[M61] calls are answered by id, in any order; refusals, time limits and loss have their codes', async () => {
  const guest = await connectTestGuest();
  const { connection } = guest;
  const [first, second] = [connection.call('ping', {}), connection.call('releaseDisk', { serial: 'd' })];
  const ping = await guest.request('ping');
  const release = await guest.request('releaseDisk');
  guest.json({ id: release.id, error: { code: 'failed', message: 'it is \u001b[31mbusy' } });
  guest.json({ id: ping.id, result: { uptimeMs: 3, more: 'a field of a later agent' } });
  deepEqual(await first, { uptimeMs: 3 });
  await rejects(second, (error: Error & { code: string }) => { equal(error.code, 'agent.refused'); match(error.message, /it is {2}\[31mbusy/); return true; });
  await rejects(connection.call('ping', {}, { timeoutMs: 10 }), { code: 'agent.timeout' });
  const late = await guest.request('ping');
  guest.json({ id: late.id, result: { uptimeMs: 4 } }); // nobody waits any more, which is no breach
  for (const [code, said, expected] of [['commandNotFound', '2 nosuch', { code: 'exec.commandNotFound' }], ['notExecutable', '13 nosuch', { code: 'exec.notExecutable' }],
    ['noWorkingFolder', 'chdir 2 /no such', { code: 'exec.noWorkingFolder', message: 'it cannot be started in /no such: there is no such folder' }]] as const) {
    const stream = connection.openStream();
    const call = connection.call('exec', execOf(stream.id));
    guest.json({ id: (await guest.request('exec')).id, error: { code, message: said } });
    await rejects(call, expected);
    await rejects(stream.done, expected);
  }
  const stop = new AbortController();
  const aborted = connection.call('ping', {}, { signal: stop.signal });
  stop.abort(new Error('changed my mind'));
  await rejects(aborted, /changed my mind/);
  const lost = connection.call('stats', {});
  const stream = await startExec(guest);
  guest.wire.destroy();
  connection.close();
  await rejects(lost, { code: 'agent.gone' });
  await rejects(stream.done, { code: 'agent.gone' });
  await rejects(connection.call('ping', {}), { code: 'agent.gone' });
  throws(() => connection.openStream(), { code: 'agent.gone' });
});

test('[M62] a stream carries both ways with credit; stderr comes apart; the exit code comes last', async () => {
  const guest = await connectTestGuest();
  const stream = guest.connection.openStream();
  stream.input.write('written before the guest knows the stream');
  const called = guest.connection.call('exec', execOf(stream.id));
  const request = await guest.request('exec');
  equal(guest.frames.filter((frame) => frame.type === frameTypes.data).length, 0, 'nothing is sent into the void');
  guest.json({ id: request.id, result: { pid: 7 } });
  await called;
  stream.input.end();
  await waitUntil(() => guest.frames.some((frame) => frame.type === frameTypes.endOfData), { what: 'the end of input', limitMs: 2000 });
  equal(Buffer.concat(guest.frames.filter((frame) => frame.type === frameTypes.data).map((frame) => frame.payload)).toString(), 'written before the guest knows the stream');
  guest.data(stream.id, Buffer.from('out'));
  guest.data(stream.id, Buffer.from('err'), true);
  guest.end(stream.id);
  guest.json({ event: 'exit', stream: stream.id, code: 3 });
  equal(await stream.done, 3);
  equal(await text(stream.output), 'out');
  equal(await text(stream.errors), 'err');
  guest.connection.close();
});

test('[M62] a reader that does not read stops its own stream at one window, and goes on without loss', async () => {
  const guest = await connectTestGuest();
  const slow = await startExec(guest);
  let room = streamWindow;
  let sent = 0;
  const total = 5 * streamWindow;
  const granted = () => guest.frames.splice(0).filter((frame) => frame.type === frameTypes.credit && frame.stream === slow.id).reduce((sum, frame) => sum + Buffer.from(frame.payload).readUInt32LE(), 0);
  const send = () => {
    for (room += granted(); room > 0 && sent < total; ) {
      const part = Math.min(room, 10_000, total - sent);
      guest.data(slow.id, Buffer.alloc(part, sent % 251));
      sent += part;
      room -= part;
    }
  };
  send();
  const ping = guest.connection.call('ping', {});
  guest.json({ id: (await guest.request('ping')).id, result: { uptimeMs: 1 } });
  await ping;
  send();
  ok(sent < 2 * streamWindow, `${sent} bytes went without a reader`);
  let read = 0;
  for await (const chunk of slow.output) {
    read += (chunk as Buffer).length;
    send();
    if (sent === total) guest.end(slow.id);
  }
  equal(read, total);
  guest.connection.close();
});

test('[M62] a closed stream ends its program and throws the rest away, without stopping it', async () => {
  const guest = await connectTestGuest();
  const stream = await startExec(guest);
  guest.data(stream.id, Buffer.alloc(1000));
  stream.close();
  const hangUp = await guest.request('execSignal');
  deepEqual(hangUp.params, { stream: stream.id, signal: 'SIGHUP' });
  guest.json({ id: hangUp.id, result: {} });
  for (let round = 0; round < 10; round += 1) {
    for (let part = 0; part < 4; part += 1) guest.data(stream.id, Buffer.alloc(streamWindow / 4));
    await waitUntil(() => guest.frames.some((frame) => frame.type === frameTypes.credit), { what: 'credit for what is thrown away', limitMs: 2000 });
    await waitUntil(() => guest.frames.filter((frame) => frame.type === frameTypes.credit).length >= 4, { what: 'all of it', limitMs: 2000 }).catch(() => undefined);
    guest.frames.length = 0;
  }
  guest.json({ event: 'exit', stream: stream.id, code: 129 });
  await rejects(stream.done, { code: 'agent.closed' });
  const ping = guest.connection.call('ping', {});
  guest.json({ id: (await guest.request('ping')).id, result: { uptimeMs: 1 } });
  await ping;
  guest.connection.close();
});

const bytes = (length: number, fill = 0x20) => Buffer.alloc(length, fill);
const header = (type: number, stream: number, length: number): Buffer => {
  const one = Buffer.from(encodeFrame(frameTypes.data, stream, bytes(0)));
  one[4] = type;
  one.writeUInt32LE(length, 12);
  return one;
};
const jsonFrame = (text: string) => Buffer.from(encodeFrame(frameTypes.json, 0, Buffer.from(text)));
const breaches: Readonly<Record<string, (guest: TestGuest, stream: number) => Uint8Array>> = {
  'bytes that are no frame': () => bytes(64, 0x41),
  'a type nobody knows': () => header(9, 0, 4),
  'reserved bytes in use': () => { const one = header(2, 0, 4); one[6] = 1; return one; },
  'a giant frame': () => header(frameTypes.json, 0, maxPayload + 1),
  'a giant data frame': (_guest, stream) => header(frameTypes.data, stream, 20_000),
  'JSON that is none': () => jsonFrame('{"id":'),
  'JSON that is no message': () => jsonFrame('[1,2,3]'),
  'a nest of brackets': () => jsonFrame('['.repeat(1_000_000)),
  'bytes that are no text': () => encodeFrame(frameTypes.json, 0, Buffer.from([0x22, 0xff, 0x22])),
  'an event without the form of one': () => jsonFrame('{"event":"container","state":{"id":7}}'),
  'an id that is a path': () => jsonFrame(JSON.stringify({ event: 'container', state: { id: '../../etc', digest: 'a', phase: 'running', pid: 1, startedAtMs: 1, finishedAtMs: 0, exitCode: -1, oomKilled: false, restarts: 0, health: 'none', lastProbe: null, error: '' } })),
  'a giant event': () => jsonFrame(JSON.stringify({ event: 'end', stream: 1, error: 'x'.repeat(500_000) })),
  'an answer nobody asked for': () => jsonFrame('{"id":4711,"result":{}}'),
  'a stream nobody opened': () => encodeFrame(frameTypes.data, 99, bytes(4)),
  'data beyond the window': (_guest, stream) => Buffer.concat(Array.from({ length: 9 }, () => encodeFrame(frameTypes.data, stream, bytes(16 * 1024)))),
  'credit for nothing': (_guest, stream) => Buffer.concat([header(frameTypes.credit, stream, 4), Buffer.from([1, 0, 0, 0])]),
  'credit beyond all counting': (_guest, stream) => Buffer.concat([header(frameTypes.credit, stream, 4), bytes(4, 0xff)]),
};
for (const [what, said] of Object.entries(breaches)) {
  test(`[M63] a breach of the protocol ends the connection with its reason: ${what}`, async () => {
    const guest = await connectTestGuest();
    const stream = await startExec(guest);
    const pending = guest.connection.call('stats', {});
    guest.wire.write(said(guest, stream.id));
    await guest.connection.closed;
    equal(guest.connection.lostBecause?.code, 'agent.protocol');
    await rejects(pending, { code: 'agent.gone' });
    await rejects(stream.done, { code: 'agent.gone' });
    equal(await text(stream.errors), '', 'readers see an end, not an error nobody handles');
  });
}

test('[M63] an answer without the form its call has ends the connection', async () => {
  const guest = await connectTestGuest();
  const call = guest.connection.call('ping', {});
  guest.json({ id: (await guest.request('ping')).id, result: { uptimeMs: 'soon' } });
  await rejects(call, { code: 'agent.gone' });
  equal(guest.connection.lostBecause?.code, 'agent.protocol');
});

test('[M62] the end of a program of an earlier connection is nobody\'s end here', async () => {
  const guest = await connectTestGuest();
  const stream = await startExec(guest);
  guest.json({ event: 'exit', stream: 1, code: 5 });
  guest.json({ event: 'end', stream: 2, error: 'late' });
  guest.json({ event: 'exit', stream: stream.id, code: 0 });
  equal(await stream.done, 0);
  const other = await connectTestGuest();
  ok(Math.abs(other.connection.openStream().id - stream.id) > 10, 'connections do not share numbers');
  for (const { connection } of [guest, other]) connection.close();
});

test('[M60] a greeting with another nonce or protocol is refused', async () => {
  for (const change of [{ nonce: 'mine' }, { protocol: 2 }]) {
    const [host, wire] = duplexPair();
    wire.on('error', () => undefined);
    wire.on('data', (chunk: Buffer) => {
      if (chunk[4] === frameTypes.reset) return void wire.write(chunk);
      const request = JSON.parse(chunk.subarray(headerBytes).toString()) as { id: number; params: { nonce: string } };
      wire.write(encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify({ id: request.id, result: { ...helloOf(request.params.nonce), ...change } }))));
    });
    await rejects(openAgentConnection(host, options), { code: 'agent.protocol' });
  }
});

async function text(readable: NodeJS.ReadableStream): Promise<string> {
  let all = '';
  for await (const chunk of readable) all += String(chunk);
  return all;
}
