/** The line to the host: hosts that die, come back, send garbage; containers notice none of it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { encodeFrame, frameTypes } from '#guest-protocol';
import { waitUntil } from '#base';
import { openBench, type Bench } from '../testing/open-bench.ts';
import { shell, specOf } from '../testing/specs.ts';

const ping = (bench: Bench) => bench.guest.line.call('ping', {});

describe('the line', () => {
  let bench: Bench;
  before(async () => { bench = await openBench({ scratch: true }); });
  after(() => bench.close());

  test('[G60] a new host is answered, and hears what happened while none was there', async () => {
    const { id } = await bench.start({ argv: shell('sleep 0.5; echo alone; exit 3'), restart: { policy: 'on-failure', maxAttempts: 1 } });
    await bench.guest.line.close();
    await new Promise((resolve) => { setTimeout(resolve, 3000); }); // nobody can be asked meanwhile
    await bench.guest.connect();
    const state = await waitUntil(async () => { const one = await bench.state(id); return one.phase === 'exited' && one; }, { what: 'both runs have ended', limitMs: 20_000 });
    assert.deepEqual([state.exitCode, state.restarts], [3, 1]);
    assert.deepEqual((await bench.logs(id)).map((line) => line.l), ['alone', 'alone']);
  });

  test('[G61] leftovers of a dead host are dropped: half a frame, garbage, a frame\'s header', async () => {
    const whole = encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify({ id: 1, method: 'ping', params: {} })));
    const promised = Buffer.from(encodeFrame(frameTypes.json, 0, randomBytes(50)).subarray(0, 40));
    for (const [what, garbage] of [['half a header', whole.subarray(0, 7)], ['half a frame', promised], ['noise', randomBytes(1000)], ['a whole frame', whole], ['magic alone', whole.subarray(0, 4)]] as const) {
      await bench.guest.connect({ garbage });
      assert.ok((await ping(bench)).uptimeMs > 0, what);
    }
  });

  test('[G61] a reset in the middle of a frame, on one connection, is understood or the next one is', async () => {
    await bench.guest.connect();
    const spec = specOf({ argv: ['true'] });
    void bench.guest.line.call('containerStart', { spec }).catch(() => undefined);
    await bench.guest.connect();
    await ping(bench);
    await waitUntil(async () => (await bench.guest.line.call('containerList', {})).containers.some((one) => one.id === spec.id && one.phase === 'exited'), { what: 'the start of the lost host is carried out', limitMs: 20_000 });
  });

  test('[G62] programs of a lost host are hung up, containers go on', async () => {
    const { id, pid } = await bench.start({ argv: shell('sleep 100000 & wait') });
    const stream = await bench.open(id, ['sleep', '5555']);
    const flood = await bench.open(id, ['yes']);
    flood.hold(true);
    await bench.guest.connect();
    await assert.rejects(stream.done);
    await waitUntil(async () => (await bench.exec(id, shell('ps -o args | grep -c -e "sleep 555[5]" -e "^yes"'))).out === '0\n', { what: 'the exec\'s processes are gone', limitMs: 20_000, everyMs: 200 });
    assert.equal((await bench.state(id)).pid, pid);
    await bench.guest.line.call('containerRemove', { id });
  });

  test('[G63] unknown and broken requests are refused, and the agent goes on', async () => {
    const { line } = bench.guest;
    const call = line.call as (method: string, params: unknown) => Promise<unknown>;
    for (const method of ['nonsense', 'constructor', '__proto__']) await assert.rejects(call(method, {}), /unknown method/);
    await assert.rejects(call('containerStart', {}));
    await assert.rejects(call('containerStart', null));
    await assert.rejects(call('exec', { container: '', stream: 99_999, argv: [] }));
    await assert.rejects(call('configure', { entropy: '' }));
    await ping(bench);
  });
});
