/** The agent's pure parts: restarting, health, users, capabilities, limits and the steps of a container's first process, signals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GuestContainerSpec, GuestProbe } from '../protocol/messages.ts';
import { backOffMs, shouldRestart } from './back-off.ts';
import { capabilitiesOf, capabilityWords } from './capabilities.ts';
import { cgroupValues } from './cgroup-values.ts';
import { containerSteps } from './container-steps.ts';
import { afterProbe, newProbeState, nextProbeMs } from './probe-state.ts';
import { signalNumber } from './signals.ts';
import { resolveUser } from './users.ts';

const spec: GuestContainerSpec = {
  id: 'c1', digest: 'd', hostname: 'web-1', imageSerial: 'img', argv: ['/bin/true'], env: ['PATH=/bin'], cwd: '/', user: '', extraGroups: [], readOnlyRoot: false, mounts: [],
  limits: {}, network: null, capabilities: { add: [], drop: [] }, privileged: false, init: false, tty: false, stopSignal: 'SIGTERM', stopGraceMs: 1000,
  restart: { policy: 'no' }, health: null, sysctls: {}, ulimits: [], shmBytes: 0, logBytes: 1 << 20,
};
const trees = { devices: new Map([['null', 9]]), files: new Map<string, number>(), volumes: new Map([['/data', 7]]), init: undefined };
const probe: GuestProbe = { test: { kind: 'tcp', port: 80 }, intervalMs: 30_000, timeoutMs: 1000, retries: 3, startPeriodMs: 5000, startIntervalMs: 500 };

test('[G32] the pause before a restart begins at 100 ms, never shrinks and ends at one minute', () => {
  assert.equal(backOffMs(1), 100);
  assert.equal(backOffMs(2), 200);
  assert.equal(backOffMs(1_000_000), 60_000);
  fc.assert(fc.property(fc.integer({ min: 1, max: 5000 }), (failures) => backOffMs(failures + 1) >= backOffMs(failures) && backOffMs(failures) <= 60_000));
});

test('[G32] restart policies: only a failure, at most so often, always, never', () => {
  assert.equal(shouldRestart({ policy: 'no' }, 1, 0), false);
  assert.equal(shouldRestart({ policy: 'on-failure' }, 0, 0), false);
  assert.equal(shouldRestart({ policy: 'on-failure' }, 137, 1000), true);
  assert.equal(shouldRestart({ policy: 'on-failure', maxAttempts: 2 }, 1, 1), true);
  assert.equal(shouldRestart({ policy: 'on-failure', maxAttempts: 2 }, 1, 2), false);
  assert.equal(shouldRestart({ policy: 'always' }, 0, 5), true);
  assert.equal(shouldRestart({ policy: 'unless-stopped' }, 0, 5), true);
});

test('[G33] failures in the start period do not count, and one success ends it', () => {
  let state = newProbeState(0);
  for (let at = 500; at < 5000; at += 500) state = afterProbe(state, probe, false, at);
  assert.deepEqual([state.health, state.failures], ['starting', 0]);
  state = afterProbe(state, probe, true, 4900);
  assert.equal(state.health, 'healthy');
  state = afterProbe(afterProbe(state, probe, false, 4950), probe, false, 4960);
  assert.deepEqual([state.health, state.failures], ['healthy', 2], 'a container that was healthy is judged at once');
  assert.equal(afterProbe(state, probe, false, 4970).health, 'unhealthy');
});

test('[G33] without a success it is unhealthy after exactly as many failures as retries say', () => {
  let state = newProbeState(0);
  for (let failures = 1; failures <= 3; failures += 1) {
    assert.equal(state.health, 'starting');
    state = afterProbe(state, probe, false, 30_000 * failures);
    state = afterProbe(state, probe, false, 30_000 * failures + 100); // between two intervals of a start: a look, no verdict
  }
  assert.equal(state.health, 'unhealthy');
});

test('[G33] a starting container is asked often and ever less often, a healthy one at its interval', () => {
  const state = newProbeState(0);
  const pauses = (test: GuestProbe['test']) => [0, 400, 4000, 100_000, 1_000_000].map((now) => nextProbeMs(state, { ...probe, test, startPeriodMs: 0 }, now));
  assert.deepEqual(pauses({ kind: 'tcp', port: 80 }), [100, 100, 500, 12_500, 30_000]);
  assert.deepEqual(pauses({ kind: 'command', argv: ['true'] }), [100, 400, 4000, 30_000, 30_000]);
  assert.equal(nextProbeMs(state, probe, 4000), 500, 'within the start period not less often than it says');
  assert.equal(nextProbeMs(afterProbe(state, probe, true, 0), probe, 1000), 30_000);
});

const passwd = 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/false\n';
const group = 'root:x:0:\nweb:x:34:\nadm:x:4:web,other\nlogs:x:50:\n';

test('[G21] users are found by name and number, with their groups', () => {
  assert.deepEqual(resolveUser('', [], passwd, group), { uid: 0, gid: 0, groups: [], home: '/root' });
  assert.deepEqual(resolveUser('web', ['logs'], passwd, group), { uid: 33, gid: 34, groups: [4, 50], home: '/var/www' });
  assert.deepEqual(resolveUser('33', [], passwd, group), { uid: 33, gid: 34, groups: [4], home: '/var/www' });
  assert.deepEqual(resolveUser('web:logs', [], passwd, group), { uid: 33, gid: 50, groups: [], home: '/var/www' });
  assert.deepEqual(resolveUser('1234:99', [], passwd, group), { uid: 1234, gid: 99, groups: [], home: '/' });
  assert.throws(() => resolveUser('nobody', [], passwd, group), /nobody/);
  assert.throws(() => resolveUser('web:none', [], passwd, group), /none/);
});

test('[G28] capabilities are Docker\'s fourteen, plus and minus what is said', () => {
  assert.equal(capabilitiesOf(spec).length, 14);
  assert.ok(!capabilitiesOf(spec).includes('SYS_ADMIN'));
  assert.deepEqual(capabilitiesOf({ ...spec, capabilities: { add: ['net_admin'], drop: ['ALL'] } }), ['NET_ADMIN']);
  assert.ok(!capabilitiesOf({ ...spec, capabilities: { add: [], drop: ['CAP_CHOWN'] } }).includes('CHOWN'));
  assert.equal(new Set(capabilitiesOf({ ...spec, privileged: true })).size, 41);
  assert.deepEqual(capabilityWords(spec), [0xa80425fb, 0]);
  assert.deepEqual(capabilityWords({ ...spec, privileged: true }), [0xffffffff, 0x1ff]);
  assert.throws(() => capabilitiesOf({ ...spec, capabilities: { add: ['FLY'], drop: [] } }), /no capability FLY/);
});

test('[G27] limits become what the kernel\'s files say', () => {
  assert.deepEqual(cgroupValues({ cpus: 0.5, memoryBytes: 1 << 24, pids: 7 }), [['cpu.max', '50000 100000'], ['memory.max', '16777216'], ['memory.swap.max', '0'], ['pids.max', '7']]);
  assert.deepEqual(cgroupValues({}), []);
});

test('[G17] the steps: own root first, devices only as the guest\'s own, what is hidden hidden, the root closed last', () => {
  const steps = containerSteps({
    ...spec, readOnlyRoot: true, sysctls: { 'net.core.somaxconn': '512' },
    mounts: [{ kind: 'volume', serial: 'vol', target: '/data', readOnly: true }, { kind: 'tmpfs', target: '/t', sizeBytes: 4096 }],
  }, '/run/containers/c1/rootfs', trees);
  const find = (kind: string, path: string) => steps.find((step) => step[0] === kind && step[1] === path);
  assert.deepEqual(steps.slice(0, 2), [['private'], ['pivot', '/run/containers/c1/rootfs']]);
  assert.equal(find('place', '/dev/null')?.[4], 9);
  assert.equal(find('place', '/data')?.[4], 7);
  const [nodev, readOnly] = [4, 1];
  assert.equal((find('remount', '/data')?.[4] ?? 0) & (nodev | readOnly), nodev | readOnly);
  for (const step of steps.filter(([kind, , type]) => kind === 'mount' && type !== 'devpts')) assert.equal((step[4] ?? 0) & nodev, nodev, step.join(' '));
  assert.match(find('mount', '/t')?.[3] ?? '', /size=4096/);
  assert.equal(find('write', '/proc/sys/net/core/somaxconn')?.[2], '512');
  assert.ok(find('mask', '/proc/kcore') !== undefined && find('readonly', '/proc/sys') !== undefined);
  assert.ok(steps.findIndex(([kind]) => kind === 'write') < steps.findIndex(([kind]) => kind === 'readonly'));
  assert.deepEqual(steps.at(-1)?.slice(0, 2), ['remount', '/']);
  assert.equal((steps.at(-1)?.[4] ?? 0) & (nodev | readOnly), nodev | readOnly);
});

test('[G28] a sysctl that would hold for the whole machine is refused', () => {
  for (const name of ['kernel.panic', 'vm.swappiness', 'net./../../kernel/panic', 'fs.file-max']) assert.throws(() => containerSteps({ ...spec, sysctls: { [name]: '1' } }, '/r', trees), /whole machine/, name);
});

test('[G31] signals by name, short name and number; nonsense is refused', () => {
  assert.deepEqual(['SIGTERM', 'term', '15', 'HUP', 'SIGRTMIN+3'].map(signalNumber), [15, 15, 15, 1, 37]);
  for (const bad of ['', 'SIGNOTHING', '-9', 'RTMIN-1']) assert.throws(() => signalNumber(bad), Error, bad);
});
