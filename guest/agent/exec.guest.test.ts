/** exec, files and the machine's own calls, in a real guest. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { openBench, type Bench } from '../testing/open-bench.ts';
import { Refusal } from '../testing/line-client.ts';
import { shell } from '../testing/specs.ts';

const size = 8 * 1024 * 1024;
const digest = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const refusedWith = (code: string) => (error: unknown) => error instanceof Refusal && error.code === code;

describe('exec in a guest', () => {
  let bench: Bench;
  let box: string;
  before(async () => {
    bench = await openBench();
    box = (await bench.start({ argv: shell('trap "exit 0" TERM; sleep 1000 & wait') })).id;
  });
  after(() => bench.close());

  test('[G1] hello says what the guest is', async () => {
    const hello = await bench.guest.line.call('hello', { nonce: 'n-1' });
    assert.equal(hello.nonce, 'n-1');
    assert.equal(hello.protocol, 1);
    assert.equal(hello.architecture, 'x86_64');
    assert.match(hello.bootId, /^[0-9a-f-]{36}$/);
    assert.match(hello.kernel, /^6\./);
    assert.ok(hello.uptimeMs > 0);
  });

  test('[G2] configure sets clock, host name, machine id and entropy, and may be repeated', async () => {
    const { line } = bench.guest;
    const timeMs = Date.UTC(2031, 4, 6, 7, 8, 9);
    const wish = { hostname: 'web-1', timeMs, entropy: randomBytes(64).toString('base64'), machineId: 'f'.repeat(32) };
    await line.call('configure', wish);
    const date = await bench.exec(box, ['date', '+%s']);
    assert.ok(Math.abs(Number(date.out) - timeMs / 1000) < 5, date.out);
    const read = async (path: string) => Buffer.from((await line.call('fileRead', { container: '', path, offset: 0, length: 100 })).content, 'base64').toString().trim();
    assert.equal(await read('/proc/sys/kernel/hostname'), 'web-1');
    assert.equal(await read('/etc/machine-id'), 'f'.repeat(32));
    const uuids = [await read('/proc/sys/kernel/random/uuid'), await read('/proc/sys/kernel/random/uuid')];
    assert.notEqual(uuids[0], uuids[1]);
    await line.call('configure', { ...wish, timeMs: Date.now(), mac: '02:00:00:00:00:09' }); // it has no card that could have it
  });

  test('[G3] output, errors and exit code arrive, apart', async () => {
    const ran = await bench.exec(box, shell('echo out; echo err >&2; exit 7'));
    assert.deepEqual([ran.code, ran.out, ran.err], [7, 'out\n', 'err\n']);
  });

  test('[G3] death by a signal is 128 + n', async () => {
    assert.equal((await bench.exec(box, shell('kill -9 $$'))).code, 137);
  });

  test('[G4] a missing program is commandNotFound, one that cannot run notExecutable', async () => {
    await assert.rejects(bench.exec(box, ['no-such-program']), refusedWith('commandNotFound'));
    await assert.rejects(bench.exec(box, ['/etc/passwd']), refusedWith('notExecutable'));
    for (const cwd of ['/no/such/folder', '/etc/passwd']) await assert.rejects(bench.exec(box, ['true'], { cwd }), refusedWith('noWorkingFolder'));
    await assert.rejects(bench.exec('nobody', ['true']), refusedWith('noContainer'));
    assert.equal((await bench.exec(box, ['true'])).code, 0, 'a failed exec leaves nothing behind');
  });

  test('[G5] user, environment and folder are as said, else the container\'s own', async () => {
    const ran = await bench.exec(box, shell('id -u; id -G; pwd; echo $HOME $EXTRA'), { user: 'app', env: ['EXTRA=yes'], cwd: '/tmp' });
    assert.deepEqual(ran.out.split('\n').slice(0, 4), ['1000', '1001 1500', '/tmp', '/var/www yes']);
    assert.equal((await bench.exec(box, ['cat', '/etc/secret'], { user: 'app' })).code, 1);
    assert.equal((await bench.exec(box, ['pwd'])).out, '/\n');
  });

  test('[G6] a program sees the container\'s namespaces and none of the agent\'s descriptors', async () => {
    const ran = await bench.exec(box, shell('hostname; cat /proc/self/cgroup; ls /proc/$$/fd; true'));
    assert.deepEqual(ran.out.trim().split('\n'), ['box', '0::/', '0', '1', '2']);
    const caps = await bench.exec(box, ['grep', 'Cap', '/proc/self/status']);
    assert.match(caps.out, /CapBnd:\s+00000000a80425fb/);
    assert.match(caps.out, /CapEff:\s+00000000a80425fb/);
  });

  test('[G15] who is in a container reads nothing of a program that is on its way to its exec there', async () => {
    const found = await whileItStarts(bench, box, 'cat /proc/$pid/maps; readlink /proc/$pid/exe /proc/$pid/fd/*', () => bench.exec(box, ['true'], { env: [longPath] }));
    assert.deepEqual(found.filter((text) => text !== ''), [], 'it is root, with the rights that the program will have');
  });

  test('[G18] where nobody else is a start takes no copy of the agent\'s memory; among a container\'s processes it does', async () => {
    const look = async (start: () => Promise<unknown>): Promise<boolean> => {
      const found = await whileItStarts(bench, '', 'grep Shared_Dirty /proc/1/smaps_rollup', start);
      return found.some((text) => Number(/(\d+) kB/.exec(text)?.[1]) > 0);
    };
    assert.equal(await look(() => bench.exec('', ['true'], { env: [longPath] })), false);
    assert.equal(await look(() => bench.start({ argv: ['true'], env: [longPath] })), false);
    assert.equal(await look(() => bench.exec(box, ['true'], { env: [longPath] })), true);
  });

  test('[G7] 8 MiB through stdin and back arrive whole', async () => {
    const bytes = randomBytes(size);
    const stream = await bench.open(box, ['cat'], { stdin: true });
    await stream.send(bytes);
    stream.end();
    assert.equal(await stream.done, 0);
    assert.equal(digest(Buffer.concat(stream.out)), digest(bytes));
  });

  test('[G7] stdin sent right behind the call is not lost', async () => {
    const { line } = bench.guest;
    const stream = line.openStream();
    const asked = line.call('exec', { container: box, stream: stream.id, argv: ['cat'], env: [], cwd: '', user: '', tty: null, stdin: true });
    await stream.send(Buffer.from('early'));
    stream.end();
    await asked;
    assert.equal(await stream.done, 0);
    assert.equal(stream.outText(), 'early');
  });

  test('[G8] a slow reader stops nobody else and loses nothing, also after the program\'s end', async () => {
    const slow = await bench.open(box, ['head', '-c', '200000', '/dev/zero']);
    slow.hold(true);
    const before = Buffer.concat(slow.out).length; // what came right behind the answer was credited
    const endless = await bench.open(box, ['yes']);
    endless.hold(true);
    const quick = await bench.exec(box, ['echo', 'quick']);
    assert.equal(quick.out, 'quick\n');
    assert.ok(Buffer.concat(slow.out).length <= before + 64 * 1024 + 1);
    slow.hold(false);
    assert.equal(await slow.done, 0);
    assert.equal(Buffer.concat(slow.out).length, 200_000);
    await bench.guest.line.call('execSignal', { stream: endless.id, signal: 'SIGKILL' });
    endless.hold(false);
    assert.equal(await endless.done, 137);
  });

  test('[G9] a signal reaches the program and what it started', async () => {
    const stream = await bench.open(box, shell('sleep 777 & sleep 777; echo never'));
    await bench.guest.line.call('execSignal', { stream: stream.id, signal: 'SIGTERM' });
    assert.equal(await stream.done, 143);
    assert.equal((await bench.exec(box, shell('ps | grep -c "sleep 77[7]"'))).out, '0\n');
  });

  test('[G10] a terminal is one, has its size, can be resized, and gets the host\'s keys', async () => {
    const stream = await bench.open(box, shell('tty; stty size; read line; stty size; echo got $line'), { tty: { rows: 30, columns: 100 }, stdin: true });
    await waitFor(() => stream.outText().includes('30 100\r\n')); // else the echo of what is typed may come before the line's end
    await bench.guest.line.call('execResize', { stream: stream.id, rows: 40, columns: 120 });
    await stream.send(Buffer.from('hello\r'));
    assert.equal(await stream.done, 0);
    assert.match(stream.outText(), /\/dev\/pts\/\d+\r\n30 100\r\nhello\r\n40 120\r\ngot hello\r\n/);
  });

  test('[G10] Ctrl-C in a terminal interrupts the program', async () => {
    const stream = await bench.open(box, shell('echo ready; sleep 1000'), { tty: { rows: 24, columns: 80 }, stdin: true });
    await waitFor(() => stream.outText().includes('ready'));
    await stream.send(Buffer.from([3]));
    assert.equal(await stream.done, 130);
  });

  test('[G11] a child that keeps the pipe open does not keep the caller waiting', async () => {
    const ran = await bench.exec(box, shell('echo first; (sleep 30 >&1) & exit 3'));
    assert.deepEqual([ran.code, ran.out], [3, 'first\n']);
    assert.ok(ran.ms < 15_000, `${ran.ms} ms`);
  });

  test('[G12] files are read in parts and written with their mode, at most 1 MiB a call', async () => {
    const { line } = bench.guest;
    const bytes = randomBytes(300_000);
    await line.call('fileWrite', { container: box, path: '/tmp/f', content: bytes.subarray(0, 200_000).toString('base64'), mode: 0o640, append: false });
    await line.call('fileWrite', { container: box, path: '/tmp/f', content: bytes.subarray(200_000).toString('base64'), mode: 0o640, append: true });
    const first = await line.call('fileRead', { container: box, path: '/tmp/f', offset: 0, length: 250_000 });
    const second = await line.call('fileRead', { container: box, path: '/tmp/f', offset: 250_000, length: 1_000_000 });
    assert.deepEqual([first.eof, second.eof], [false, true]);
    assert.equal(digest(Buffer.concat([Buffer.from(first.content, 'base64'), Buffer.from(second.content, 'base64')])), digest(bytes));
    assert.equal((await bench.exec(box, ['stat', '-c', '%a', '/tmp/f'])).out, '640\n');
    await assert.rejects(line.call('fileRead', { container: box, path: '/nowhere', offset: 0, length: 1 }), refusedWith('notFound'));
  });

  test('[G13] links in a container never lead into the guest, and what is no file is refused', async () => {
    const { line } = bench.guest;
    const read = (path: string) => line.call('fileRead', { container: box, path, offset: 0, length: 4096 });
    await bench.exec(box, shell('ln -s /etc/machine-id /tmp/l; ln -s ../../../../../../etc/machine-id /tmp/m; mkfifo /tmp/fifo 2>/dev/null || busybox mkfifo /tmp/fifo'));
    await assert.rejects(read('/tmp/l'), refusedWith('notFound'));
    await assert.rejects(read('/tmp/m'), refusedWith('notFound'));
    await assert.rejects(read('/tmp/fifo'), refusedWith('notAFile'));
    await assert.rejects(read('/dev/zero'), refusedWith('notAFile'));
  });

  test('[G14] orphans are reaped and the guest tells its figures', async () => {
    await bench.exec(box, shell('for i in 1 2 3 4 5; do (setsid sleep 0.1 &) ; done'));
    await waitFor(async () => (await bench.exec('', ['/bin/true'])).code === 0 && (await zombies(bench)) === 0);
    const stats = await bench.guest.line.call('stats', {});
    assert.ok(stats.memoryTotalBytes > 100 * 1024 * 1024 && stats.memoryAvailableBytes < stats.memoryTotalBytes);
    assert.deepEqual(stats.disks, ['img']);
    assert.ok(stats.uptimeMs > 0 && stats.load1 >= 0);
  });

  test('[G16] an idle guest\'s kernel looks after itself once a minute at most', async () => {
    const { out } = await bench.exec('', ['/bin/cat', ...['vm/compaction_proactiveness', 'kernel/watchdog', 'vm/stat_interval'].map((name) => `/proc/sys/${name}`)]);
    assert.equal(out, '0\n0\n60\n');
  });

  // The last one: where it fails, the agent answers nobody any more.
  test('[G19] a program that is stopped on its way into a container holds up nobody else, and ends with the container', { timeout: 60_000 }, async () => {
    const { id } = await bench.start({ argv: shell(`while true; do
      pid=$(grep -l "(init)" /proc/[0-9]*/stat 2>/dev/null | tr -dc 0-9)
      [ -n "$pid" ] && kill -STOP $pid && grep -q "(init) T" /proc/$pid/stat && echo stopped && exec sleep 1000
    done`) });
    const pending = bench.exec(id, ['true'], { env: [longPath] });
    await waitFor(async () => (await bench.logs(id)).some((line) => line.l === 'stopped'));
    assert.equal((await bench.exec(box, ['echo', 'others'])).out, 'others\n');
    await bench.guest.line.call('containerRemove', { id });
    assert.equal((await pending).code, 137);
  });
});

/** With it the way to the exec is long, since the program lies in the last of its folders. */
const longPath = `PATH=${'x:'.repeat(1000)}/bin`;

/** What the script prints, in this container or in the guest itself, each time it finds a program (`$pid`) that has the agent's name still, and has it afterwards too. */
async function whileItStarts(bench: Bench, container: string, script: string, start: () => Promise<unknown>): Promise<readonly string[]> {
  const find = 'pid=$(grep -l "^[0-9]* (init) . [01] " /proc/[0-9]*/stat 2>/dev/null | grep -vx /proc/1/stat | tr -dc 0-9)';
  const looking = await bench.open(container, shell(`echo looking
    i=0; seen=
    while [ $i -lt 1000 ]; do
      i=$((i + 1)); ${find}
      if [ -n "$pid" ]; then
        seen=1; said=$({ ${script}; } 2>/dev/null)
        grep -q "(init)" /proc/$pid/stat 2>/dev/null && echo "found $said" | tr '\\n' ' ' && echo
      elif [ -n "$seen" ]; then exit; fi
    done`), { env: ['PATH=/bin'] });
  await waitFor(() => looking.outText() !== '');
  await start();
  await looking.done;
  const found = looking.outText().trim().split('\n').slice(1);
  assert.notEqual(found.length, 0, 'it was found on its way');
  return found.map((line) => line.slice('found '.length).trim());
}

async function zombies(bench: Bench): Promise<number> {
  const { line } = bench.guest;
  const text = Buffer.from((await line.call('fileRead', { container: '', path: '/proc/loadavg', offset: 0, length: 200 })).content, 'base64').toString();
  return Number(text.split(' ')[3]?.split('/')[1]) > 500 ? 1 : 0;
}

async function waitFor(holds: () => boolean | Promise<boolean>): Promise<void> {
  const { waitUntil } = await import('#base');
  await waitUntil(holds, { what: 'the test\'s condition holds', limitMs: 30_000 });
}
