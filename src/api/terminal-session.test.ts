/** Exec and console streams through the real socket, with the real client at the other end. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { test } from 'node:test';
import { waitUntil } from '#base';
import { encodeStreamFrame, streamFrameTypes } from '#contract';
import { openClient } from '#client';
import { openTestApi } from './test-api.ts';

test('[A9] output, errors and the exit code arrive', async (t) => {
  const { socketPath } = await openTestApi(t);
  const client = openClient(socketPath);
  const terminal = await client.terminal('execInMachine', 'box', { argv: ['fail', '7'] });
  const [out, err, code] = await Promise.all([text(terminal.output), text(terminal.errors), terminal.done]);
  deepEqual([out, err, code], ['', 'bad luck\n', 7]);
  client.close();
});

test('[A9] four megabytes go through cat unchanged, both ways at once', async (t) => {
  const { socketPath } = await openTestApi(t);
  const terminal = await openClient(socketPath).terminal('execInMachine', 'box', { argv: ['cat'] });
  const bytes = randomBytes(4 * 1024 * 1024 + 17);
  const back = buffer(terminal.output);
  terminal.errors.resume();
  terminal.input.end(bytes);
  equal(createHash('sha256').update(await back).digest('hex'), createHash('sha256').update(bytes).digest('hex'));
  equal(await terminal.done, 0);
});

test('[A9] size and signals reach the program', async (t) => {
  const { socketPath, backend } = await openTestApi(t);
  const terminal = await openClient(socketPath).terminal('execInMachine', 'box', { argv: ['wait'], tty: { rows: 24, columns: 80 } });
  terminal.errors.resume();
  terminal.resize({ rows: 50, columns: 132 });
  await once(terminal.output, 'data');
  await waitUntil(() => backend.heard.length === 1, { what: 'the size arrived', limitMs: 2_000 });
  terminal.signal('SIGINT');
  equal(await terminal.done, 130);
  deepEqual(backend.heard, [{ rows: 50, columns: 132 }, 'SIGINT']);
});

test('[A9] the backend is told when the client leaves', async (t) => {
  const { socketPath, backend } = await openTestApi(t);
  const terminal = await openClient(socketPath).terminal('execInMachine', 'box', { argv: ['wait'] });
  await once(terminal.output, 'data');
  terminal.close();
  await waitUntil(() => backend.heard.includes('gone'), { what: 'the backend knows', limitMs: 2_000 });
  await rejects(terminal.done, { code: 'client.unreachable' });
});

test('[A9] what cannot be run is a problem, as the last frame', async (t) => {
  const { socketPath } = await openTestApi(t);
  const client = openClient(socketPath);
  await rejects((await client.terminal('execInMachine', 'box', { argv: ['nosuch'] })).done, { code: 'exec.commandNotFound' });
  await rejects((await client.terminal('execInMachine', 'nosuch', { argv: ['echo'] })).done, { code: 'fake.notFound', status: 404 });
  await rejects((await client.terminal('execInMachine', 'box', { argv: [] })).done, { code: 'api.invalidRequest', status: 400 });
});

test('[A9] a console carries both ways', async (t) => {
  const { socketPath } = await openTestApi(t);
  const terminal = await openClient(socketPath).terminal('openMachineConsole', 'box', {});
  terminal.errors.resume();
  const all = text(terminal.output);
  terminal.input.end('logout\n');
  equal(await all, 'login: logout\n');
  equal(await terminal.done, 0);
});

test('[A3] frames that are none end the stream with a problem, not the daemon', async (t) => {
  const { socketPath, ask } = await openTestApi(t);
  const hello = 'GET /v1/machines/box/exec HTTP/1.1\r\nHost: strata\r\nConnection: Upgrade\r\nUpgrade: strata-stream.v1\r\n\r\n';
  const start = encodeStreamFrame(streamFrameTypes.start, JSON.stringify({ argv: ['cat'] }));
  const bad: Uint8Array[] = [
    Uint8Array.from([1, 0xff, 0xff, 0xff, 0xff]), encodeStreamFrame(streamFrameTypes.input, 'too early'), encodeStreamFrame(streamFrameTypes.start, '{nonsense'),
    encodeStreamFrame(streamFrameTypes.start, '['.repeat(5_000)), encodeStreamFrame(streamFrameTypes.start, '{"argv":["cat"],"colour":"red"}'),
    Buffer.concat([start, encodeStreamFrame(streamFrameTypes.resize, '{"rows":-1}')]), Buffer.concat([start, encodeStreamFrame(streamFrameTypes.signal, 'rm -rf')]),
    Buffer.concat([start, start]), Buffer.concat([start, Uint8Array.from([99, 0, 0, 0, 0])]),
  ];
  for (const bytes of bad) {
    const socket = connect(socketPath);
    socket.write(Buffer.concat([Buffer.from(hello), bytes]));
    const answer = (await buffer(socket)).toString('latin1');
    ok(answer.startsWith('HTTP/1.1 101'), answer.slice(0, 40));
  }
  equal((await ask('GET', '/livez')).status, 200);
});

test('[A10] a program that floods a client that does not read is held up, not buffered', async (t) => {
  const { socketPath, backend } = await openTestApi(t);
  let written = 0;
  Object.assign(backend.machines, {
    exec: async (_name: string, _request: unknown, session: { output: NodeJS.WritableStream; gone: AbortSignal }) => {
      const chunk = Buffer.alloc(64 * 1024, 0x61);
      while (!session.gone.aborted) {
        written += chunk.length;
        if (!session.output.write(chunk)) await Promise.race([once(session.output as never, 'drain'), new Promise((resolve) => { session.gone.addEventListener('abort', resolve); })]);
      }
      return 0;
    },
  });
  const terminal = await openClient(socketPath).terminal('execInMachine', 'box', { argv: ['yes'] });
  let before = -1;
  await waitUntil(() => { const still = written > 0 && written === before; before = written; return still; }, { what: 'the program waits', limitMs: 5_000, everyMs: 200 });
  ok(written < 8 * 1024 * 1024, `${written} bytes were taken in`);
  terminal.close();
});
