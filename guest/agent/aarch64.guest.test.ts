/** The same guest OS on Arm, emulated: the agent, exec, a container with its limits, a hot-plugged volume, power-off. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeExt4 } from '../testing/images.ts';
import { openBench, type Bench } from '../testing/open-bench.ts';
import { shell } from '../testing/specs.ts';

describe('a guest on aarch64', () => {
  let bench: Bench;
  before(async () => { bench = await openBench({ architecture: 'aarch64', scratch: true }); });
  after(() => bench.close());

  test('[G1] hello says aarch64', async () => {
    const hello = await bench.guest.line.call('hello', { nonce: 'n' });
    assert.equal(hello.architecture, 'aarch64');
    assert.match(hello.kernel, /arm64/);
  });

  test('[G7] a container runs, and 1 MiB goes in and out of it whole', async () => {
    const { id } = await bench.start({ argv: shell('trap "exit 0" TERM; sleep 10000 & wait') });
    const bytes = randomBytes(1024 * 1024);
    const stream = await bench.open(id, ['cat'], { stdin: true });
    await stream.send(bytes);
    stream.end();
    assert.equal(await stream.done, 0);
    assert.ok(Buffer.concat(stream.out).equals(bytes));
    assert.equal((await bench.exec(id, shell('tty'), { tty: { rows: 10, columns: 20 } })).out, '/dev/pts/0\r\n');
    assert.equal((await bench.guest.line.call('containerStop', { id })).exitCode, 0);
  });

  test('[G26] the memory limit holds', async () => {
    const { state } = await bench.runToEnd({ argv: shell('exec tail /dev/zero'), limits: { memoryBytes: 16 * 1024 * 1024 } });
    assert.deepEqual([state.exitCode, state.oomKilled], [137, true]);
  });

  test('[G51] a volume is plugged in, written and unplugged', async () => {
    const path = await makeExt4(join(bench.folder, 'vol.raw'), 64);
    await bench.guest.addDisk({ serial: 'vol-arm', path });
    await bench.guest.line.call('awaitDisks', { serials: ['vol-arm'], timeoutMs: 20_000 });
    const { out } = await bench.runToEnd({ argv: shell('cat /data/seed; uname -m'), mounts: [{ kind: 'volume', serial: 'vol-arm', target: '/data', readOnly: false }] });
    assert.equal(out, 'from the image\naarch64\n');
    await bench.guest.line.call('releaseDisk', { serial: 'vol-arm' });
    await bench.guest.removeDisk('vol-arm');
  });

  test('[G58] power-off ends the machine', async () => {
    await bench.guest.line.call('powerOff', { graceMs: 1000 });
    assert.equal(await bench.guest.exited, 0);
  });
});
