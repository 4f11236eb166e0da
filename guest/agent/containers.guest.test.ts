/** Containers in a real guest: what a specification says is what the program inside finds. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '#base';
import type { GuestProbe } from '#guest-protocol';
import { linesOf, openBench, type Bench } from '../testing/open-bench.ts';
import { shell, specOf } from '../testing/specs.ts';

const waits = shell('trap "exit 0" TERM; echo ready; sleep 100000 & wait');
const ignores = shell('trap "" TERM; echo ready; while true; do sleep 1; done');
const file = (target: string, text: string, fields: { mode?: number; uid?: number; gid?: number } = {}) => ({ kind: 'file' as const, target, content: Buffer.from(text).toString('base64'), mode: 0o644, uid: 0, gid: 0, ...fields });
const probeOf = (probeTest: GuestProbe['test'], fields: Partial<GuestProbe> = {}): GuestProbe => ({ test: probeTest, intervalMs: 200, timeoutMs: 5000, retries: 3, startPeriodMs: 0, startIntervalMs: 200, ...fields });

describe('containers', () => {
  let bench: Bench;
  before(async () => { bench = await openBench({ scratch: true, memoryMiB: 384 }); });
  after(() => bench.close());

  test('[G20] starting twice with one digest is one start; another digest replaces it', async () => {
    const spec = specOf({ argv: waits });
    const first = await bench.guest.line.call('containerStart', { spec });
    const again = await bench.guest.line.call('containerStart', { spec });
    assert.deepEqual([first.phase, again.pid, again.restarts], ['running', first.pid, 0]);
    const other = await bench.guest.line.call('containerStart', { spec: { ...spec, digest: 'other', hostname: 'new' } });
    assert.notEqual(other.pid, first.pid);
    assert.equal((await bench.exec(spec.id, ['hostname'])).out, 'new\n');
    await bench.guest.line.call('containerRemove', { id: spec.id });
    await bench.guest.line.call('containerRemove', { id: spec.id });
    assert.ok(!(await bench.guest.line.call('containerList', {})).containers.some((one) => one.id === spec.id));
  });

  test('[G21] user, groups, environment, folder and host name are as said', async () => {
    const { out } = await bench.runToEnd({ argv: shell('id -u; id -g; id -G; pwd; echo $HOME $A; hostname'), user: 'app', extraGroups: ['extra', '77'], env: ['PATH=/bin', 'A=b c'], cwd: '/var/www', hostname: 'h-1' });
    assert.deepEqual(out.split('\n').slice(0, 6), ['1000', '1001', '1001 77 1500 1600', '/var/www', '/var/www b c', 'h-1']);
  });

  test('[G21] a folder that the image lacks is made', async () => {
    assert.equal((await bench.runToEnd({ argv: ['pwd'], cwd: '/made/for/it' })).out, '/made/for/it\n');
  });

  test('[G22] what cannot be started says why: 125 and words', async () => {
    const missing = await bench.start({ argv: ['/no/such'] });
    assert.deepEqual([missing.phase, missing.exitCode], ['exited', 125]);
    assert.match(missing.error, /no\/such/);
    assert.match((await bench.start({ argv: ['true'], user: 'ghost' })).error, /no user ghost/);
    assert.match((await bench.start({ argv: ['true'], imageSerial: 'nope' })).error, /no disk with serial nope/);
  });

  test('[G23] the root is writable and forgotten with the container; read-only where said', async () => {
    assert.equal((await bench.runToEnd({ argv: shell('echo x > /new && cat /new') })).out, 'x\n');
    const { out } = await bench.runToEnd({ argv: shell('(echo x > /new) 2>/dev/null || echo refused; echo y > /run/t && cat /run/t'), readOnlyRoot: true, mounts: [{ kind: 'tmpfs', target: '/run', sizeBytes: 65_536, mode: 0o755 }] });
    assert.equal(out, 'refused\ny\n');
  });

  test('[G24] a tmpfs has its size and mode, and /dev/shm its size', async () => {
    const { out } = await bench.runToEnd({ argv: shell('stat -c %a /t; dd if=/dev/zero of=/t/f bs=1k count=100 2>/dev/null; stat -c %s /t/f; df -k /dev/shm | tail -1 | awk "{print \\$2}"'), mounts: [{ kind: 'tmpfs', target: '/t', sizeBytes: 65_536, mode: 0o700 }], shmBytes: 1024 * 1024 });
    assert.deepEqual(out.trim().split('\n'), ['700', '65536', '1024']);
  });

  test('[G25] files of configs, secrets and names have content, owner and mode, also where the image has none', async () => {
    const mounts = [file('/etc/hosts', '10.1.2.3 db\n'), file('/run/secrets/key', 's3cret', { mode: 0o400, uid: 1000, gid: 1001 }), file('/etc/resolv.conf', 'nameserver 10.0.0.1\n')];
    const { out } = await bench.runToEnd({ argv: shell('cat /etc/hosts /etc/resolv.conf; stat -c "%a %u %g" /run/secrets/key; cat /run/secrets/key'), user: 'app', mounts });
    assert.equal(out, '10.1.2.3 db\nnameserver 10.0.0.1\n400 1000 1001\ns3cret\n');
  });

  test('[G26] memory beyond the limit ends the program with 137 and is reported', async () => {
    const { state } = await bench.runToEnd({ argv: shell('exec tail /dev/zero'), limits: { memoryBytes: 16 * 1024 * 1024 } });
    assert.deepEqual([state.exitCode, state.oomKilled], [137, true]);
    const killed = await bench.runToEnd({ argv: shell('kill -9 $$; sleep 1; exit 1') });
    assert.equal(killed.state.oomKilled, false);
  });

  test('[G27] processes and processors are limited', async () => {
    const { out } = await bench.runToEnd({ argv: shell('cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max; for i in 1 2 3 4 5 6; do sleep 2 & done 2>/dev/null; echo end'), limits: { pids: 4, cpus: 0.5 } });
    assert.match(out, /^4\n50000 100000\n/);
    assert.ok(!out.includes('end'), 'the shell gives up when it cannot fork');
  });

  test('[G28] capabilities are Docker\'s, plus and minus; ulimits and sysctls hold', async () => {
    const bounding = async (fields: Parameters<Bench['runToEnd']>[0]) => /CapBnd:\s+(\w+)/.exec((await bench.runToEnd(fields)).out)?.[1];
    const argv = ['cat', '/proc/self/status'];
    assert.equal(await bounding({ argv }), '00000000a80425fb');
    assert.equal(await bounding({ argv, capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] } }), '0000000000001000');
    assert.equal(await bounding({ argv, privileged: true }), '000001ffffffffff');
    const { out } = await bench.runToEnd({ argv: shell('ulimit -n; cat /proc/sys/net/ipv4/ip_default_ttl'), ulimits: [{ name: 'nofile', soft: 123, hard: 456 }], sysctls: { 'net.ipv4.ip_default_ttl': '77' } });
    assert.equal(out, '123\n77\n');
  });

  test('[G17] the first process sees only what is its own; a device it makes opens nothing', async () => {
    const { out } = await bench.runToEnd({ argv: shell([
      'mknod /tmp/disk b 8 0 && (cat /tmp/disk > /dev/null 2>&1 || echo closed)', 'mknod /dev/disk b 8 0 2>/dev/null && (cat /dev/disk > /dev/null 2>&1 || echo closed)', 'echo x > /dev/null && echo null', 'head -c 3 /dev/zero | wc -c',
      '(echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo readonly', 'wc -c < /proc/kcore', '(mkdir /sys/fs/cgroup/own) 2>/dev/null || echo readonly', 'ls /proc | grep -c "^[0-9]"', 'mount -t tmpfs none /tmp 2>/dev/null || echo refused', 'cat /proc/1/cgroup', 'ls -d /proc/1/root/scratch 2>/dev/null || echo alone',
    ].join('; ')) });
    const [disk, dev, none, zeros, panic, kcore, cgroup, processes, mounts, own, root] = out.trim().split('\n');
    assert.deepEqual([disk, dev, none, zeros, panic, kcore, cgroup, mounts, own, root], ['closed', 'closed', 'null', '3', 'readonly', '0', 'readonly', 'refused', '0::/', 'alone'], out);
    assert.ok(Number(processes) <= 4, out);
  });

  test('[G17] a link in the image leads a mount nowhere but into the container', async () => {
    const { out, state } = await bench.runToEnd({ argv: shell('cat /etc/passwd /made/later'), mounts: [file('/leads-out', 'ours\n'), file('/leads-on', 'made\n')] });
    assert.equal(out, 'ours\nmade\n', state.error);
    assert.match((await bench.exec('', ['cat', '/etc/passwd'])).out, /^root:/);
  });

  test('[G28] a sysctl of the whole machine and an unknown capability are refused with the reason', async () => {
    assert.match((await bench.start({ argv: ['true'], sysctls: { 'kernel.panic': '5' } })).error, /whole machine/);
    assert.match((await bench.start({ argv: ['true'], capabilities: { add: ['FLY'], drop: [] } })).error, /no capability FLY/);
  });

  test('[G29] with init, orphans are reaped, signals are passed on and the exit code is the program\'s', async () => {
    const { id } = await bench.start({ argv: shell('trap "echo term; exit 9" TERM; (setsid sleep 0.1 &); sleep 100 & wait'), init: true });
    assert.match((await bench.exec(id, shell('cat /proc/1/cmdline | tr "\\0" " "'))).out, /^\/sbin\/docker-init -- /);
    await bench.exec(id, ['sleep', '0.5']);
    assert.ok(!(await bench.exec(id, ['ps', '-o', 'stat,args'])).out.includes('Z'));
    const state = await bench.guest.line.call('containerStop', { id });
    assert.equal(state.exitCode, 9);
    assert.deepEqual((await bench.logs(id)).map((line) => line.l), ['term']);
  });

  const ready = (id: string) => waitUntil(async () => (await bench.logs(id)).some((line) => line.l === 'ready'), { what: 'the container says that it is ready', limitMs: 20_000 });

  test('[G30] stop is the signal, the grace, then death; no restart follows', async () => {
    const polite = await bench.start({ argv: waits, restart: { policy: 'always' } });
    await ready(polite.id); // a signal before its trap stands is lost on it, as on every first process
    const stopped = await bench.guest.line.call('containerStop', { id: polite.id });
    assert.deepEqual([stopped.phase, stopped.exitCode], ['exited', 0]);
    const stubborn = await bench.start({ argv: ignores, restart: { policy: 'always' } });
    await ready(stubborn.id);
    const begun = Date.now();
    const killed = await bench.guest.line.call('containerStop', { id: stubborn.id, graceMs: 500 });
    assert.deepEqual([killed.phase, killed.exitCode, killed.restarts], ['exited', 137, 0]);
    assert.ok(Date.now() - begun >= 490);
    assert.equal((await bench.guest.line.call('containerStop', { id: stubborn.id })).phase, 'exited');
  });

  test('[G30] a stop during a start wins', async () => {
    const spec = specOf({ argv: waits });
    const starting = bench.guest.line.call('containerStart', { spec });
    const stopped = await bench.guest.line.call('containerStop', { id: spec.id });
    await starting;
    assert.equal(stopped.phase, 'exited');
    assert.equal((await bench.state(spec.id)).phase, 'exited');
  });

  test('[G31] the stop signal is the container\'s; kill sends any', async () => {
    const { id } = await bench.start({ argv: shell('trap "echo usr1" USR1; trap "exit 4" INT; echo ready; while true; do sleep 0.1; done'), stopSignal: 'SIGINT' });
    const printed = (word: string) => waitUntil(async () => (await bench.logs(id)).some((line) => line.l === word), { what: `the container prints ${word}`, limitMs: 20_000 });
    await printed('ready');
    await bench.guest.line.call('containerKill', { id, signal: 'SIGUSR1' });
    await printed('usr1');
    assert.equal((await bench.guest.line.call('containerStop', { id })).exitCode, 4);
    await assert.rejects(bench.guest.line.call('containerKill', { id, signal: 'SIGNONE' }), /no signal/);
  });

  test('[G32] restarts follow the policy, with growing pauses', async () => {
    const failing = await bench.start({ argv: ['false'], restart: { policy: 'on-failure', maxAttempts: 2 } });
    const end = await bench.awaitState(failing.id, (state) => state.phase === 'exited');
    assert.deepEqual([end.exitCode, end.restarts], [1, 2]);
    const fine = await bench.start({ argv: ['true'], restart: { policy: 'on-failure' } });
    assert.equal((await bench.awaitState(fine.id, (state) => state.phase === 'exited')).restarts, 0);
    const loop = await bench.start({ argv: ['false'], restart: { policy: 'always' } });
    await bench.awaitState(loop.id, (state) => state.restarts >= 4);
    const starts = bench.guest.line.events.flatMap((event) => (event.event === 'container' && event.state.id === loop.id && event.state.phase === 'running' ? [event.state.startedAtMs] : []));
    [100, 200, 400, 800].forEach((pause, at) => assert.ok((starts[at + 1] as number) - (starts[at] as number) >= pause, `pauses grow: ${starts.map((one) => one - (starts[0] as number)).join(' ')}`));
    assert.equal((await bench.guest.line.call('containerStop', { id: loop.id })).phase, 'exited');
  });

  test('[G32] the writable layer lives through restarts', async () => {
    const { id } = await bench.start({ argv: shell('echo run >> /count; [ $(wc -l < /count) -ge 3 ] && exit 0; exit 1'), restart: { policy: 'on-failure' } });
    assert.equal((await bench.awaitState(id, (state) => state.phase === 'exited')).restarts, 2);
  });

  test('[G33] health by command: starting, healthy, unhealthy, and back', async () => {
    const { id } = await bench.start({ argv: waits, health: probeOf({ kind: 'command', argv: shell('echo looked; test -f /ok') }, { startPeriodMs: 60_000, retries: 2 }) });
    assert.equal((await bench.state(id)).health, 'starting');
    await bench.exec(id, ['touch', '/ok']);
    await bench.awaitState(id, (state) => state.health === 'healthy');
    await bench.exec(id, ['rm', '/ok']);
    const bad = await bench.awaitState(id, (state) => state.health === 'unhealthy');
    assert.match(bad.lastProbe?.output ?? '', /looked \(exit code 1\)/);
    await bench.exec(id, ['touch', '/ok']);
    await bench.awaitState(id, (state) => state.health === 'healthy');
    await bench.guest.line.call('containerRemove', { id });
  });

  test('[G33] while it starts, what fails for the same reason is told once', async () => {
    const { id } = await bench.start({ argv: shell('sleep 2; mkdir /w; echo fine > /w/ok; exec httpd -f -p 8080 -h /w'), health: probeOf({ kind: 'http', port: 8080, path: '/ok' }, { intervalMs: 1000, retries: 60 }) });
    await bench.awaitState(id, (state) => state.health === 'healthy');
    const told = bench.guest.line.events.flatMap((one) => (one.event === 'container' && one.state.id === id && one.state.lastProbe?.ok === false ? [one.state.lastProbe.output] : []));
    assert.ok(told.length > 0, 'it was asked before it listened');
    assert.deepEqual(told.filter((output, at) => output === told[at - 1]), []);
    await bench.guest.line.call('containerRemove', { id });
  });

  test('[G33] a probe that hangs is ended at its limit', async () => {
    const { id } = await bench.start({ argv: waits, health: probeOf({ kind: 'command', argv: ['sleep', '4321'] }, { timeoutMs: 300, retries: 1 }) });
    const bad = await bench.awaitState(id, (state) => state.health === 'unhealthy');
    assert.match(bad.lastProbe?.output ?? '', /did not end within 300 ms/);
    await bench.guest.line.call('containerRemove', { id });
  });

  test('[G34] health by HTTP and TCP needs nothing in the image', async () => {
    const serve = shell('mkdir /w; echo fine > /w/ok; httpd -f -p 8080 -h /w');
    const http = await bench.start({ argv: serve, health: probeOf({ kind: 'http', port: 8080, path: '/ok' }) });
    const tcp = await bench.start({ argv: serve, health: probeOf({ kind: 'tcp', port: 8080 }) });
    const none = await bench.start({ argv: serve, health: probeOf({ kind: 'http', port: 8080, path: '/missing' }, { retries: 2 }) });
    const closed = await bench.start({ argv: serve, health: probeOf({ kind: 'tcp', port: 81 }, { retries: 2 }) });
    await bench.awaitState(http.id, (state) => state.health === 'healthy');
    await bench.awaitState(tcp.id, (state) => state.health === 'healthy');
    assert.match((await bench.awaitState(none.id, (state) => state.health === 'unhealthy')).lastProbe?.output ?? '', /404/);
    assert.match((await bench.awaitState(closed.id, (state) => state.health === 'unhealthy')).lastProbe?.output ?? '', /refused/i);
    for (const { id } of [http, tcp, none, closed]) await bench.guest.line.call('containerRemove', { id });
  });

  test('[G35] logs: tail, since, follow, both streams, after death until removal', async () => {
    const { id } = await bench.start({ argv: shell('echo one; echo two >&2; sleep 0.3; echo three; printf four') });
    const follower = bench.guest.line.openStream();
    await bench.guest.line.call('containerLogs', { id, stream: follower.id, follow: true });
    await bench.awaitState(id, (state) => state.phase === 'exited');
    const all = await bench.logs(id);
    assert.deepEqual(all.map((line) => line.l).sort(), ['four', 'one', 'three', 'two']);
    assert.deepEqual(all.filter((line) => line.s === 2).map((line) => line.l), ['two']);
    assert.deepEqual((await bench.logs(id, { tail: 2 })).map((line) => line.l), ['three', 'four']);
    assert.deepEqual((await bench.logs(id, { tail: 0 })).length, 0);
    const three = all.find((line) => line.l === 'three');
    assert.deepEqual((await bench.logs(id, { sinceMs: three?.t ?? 0 })).map((line) => line.l), ['three', 'four']);
    assert.deepEqual(linesOf(follower.outText()), all);
    await bench.guest.line.call('containerRemove', { id });
    await assert.rejects(bench.logs(id));
  });

  test('[G36] logs are bounded, lines too, and an unread log never stops the container', async () => {
    const { id } = await bench.start({ argv: shell('seq 1 60000; head -c 40000 /dev/zero | tr "\\0" x; echo; echo end'), logBytes: 256 * 1024 });
    const slow = bench.guest.line.openStream();
    slow.hold(true);
    await bench.guest.line.call('containerLogs', { id, stream: slow.id, follow: true });
    await bench.awaitState(id, (state) => state.phase === 'exited', 60_000);
    const lines = await bench.logs(id);
    assert.equal(lines.at(-1)?.l, 'end');
    assert.deepEqual(lines.slice(-4, -1).map((line) => line.l.length), [16_384, 16_384, 40_000 - 32_768]);
    const numbers = lines.filter((line) => /^\d+$/.test(line.l)).map((line) => Number(line.l));
    assert.ok(numbers.every((value, at) => at === 0 || value === (numbers[at - 1] as number) + 1), 'no gap in what is kept');
    assert.equal(numbers.at(-1), 60_000);
    assert.ok(Buffer.byteLength(lines.map((line) => JSON.stringify(line)).join('\n')) <= 300 * 1024);
    slow.hold(false);
    await bench.guest.line.call('ping', {});
  });

  test('[G37] a container that prints without end silences no other', async () => {
    const loud = await bench.start({ argv: ['yes'] });
    const quiet = await bench.runToEnd({ argv: ['echo', 'heard'] });
    assert.equal(quiet.out, 'heard\n');
    assert.equal((await bench.exec(loud.id, ['echo', 'inside'])).out, 'inside\n');
    await bench.guest.line.call('containerRemove', { id: loud.id });
  });

  test('[G38] with a terminal the program has one', async () => {
    const { out } = await bench.runToEnd({ argv: shell('test -t 1 && echo terminal'), tty: true });
    assert.equal(out, 'terminal\n');
  });

  test('[G39] a container\'s figures come from its cgroup', async () => {
    const { id } = await bench.start({ argv: shell('dd if=/dev/zero of=/dev/shm/f bs=1M count=8 2>/dev/null; sleep 1000') });
    await bench.exec(id, shell('while [ "$(stat -c %s /dev/shm/f 2>/dev/null)" != 8388608 ]; do sleep 0.05; done'));
    const stats = await bench.guest.line.call('containerStats', { id });
    assert.ok(stats.memoryBytes > 8e6 && stats.memoryPeakBytes >= stats.memoryBytes && stats.pids >= 1 && stats.cpuNanos > 0 && stats.oomKills === 0, JSON.stringify(stats));
    await bench.guest.line.call('containerRemove', { id });
  });
});
