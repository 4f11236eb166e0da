/** The agent's pure parts: restarting, health, users, capabilities and the configuration crun gets, signals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GuestContainerSpec, GuestProbe } from '../protocol/messages.ts';
import { backOffMs, shouldRestart } from './back-off.ts';
import { capabilitiesOf, ociConfig } from './oci-config.ts';
import { afterProbe, newProbeState, nextProbeMs } from './probe-state.ts';
import { signalNumber } from './signals.ts';
import { resolveUser } from './users.ts';

const spec: GuestContainerSpec = {
  id: 'c1', digest: 'd', hostname: 'web-1', imageSerial: 'img', argv: ['/bin/true'], env: ['PATH=/bin'], cwd: '/', user: '', extraGroups: [], readOnlyRoot: false, mounts: [],
  limits: {}, network: null, capabilities: { add: [], drop: [] }, privileged: false, init: false, tty: false, stopSignal: 'SIGTERM', stopGraceMs: 1000,
  restart: { policy: 'no' }, health: null, sysctls: {}, ulimits: [], shmBytes: 0, logBytes: 1 << 20,
};
const identity = { uid: 0, gid: 0, groups: [], home: '/root' };
const places = { root: 'rootfs', networkNamespace: '/run/netns/c1', files: new Map<string, string>(), volumes: new Map([['/data', '/volumes/vol']]) };
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
    state = afterProbe(state, probe, false, 6000 + failures);
  }
  assert.equal(state.health, 'unhealthy');
});

test('[G33] a starting container is asked often, a healthy one at its interval', () => {
  const state = newProbeState(0);
  assert.ok(nextProbeMs(state, probe, 0, true) <= 500);
  assert.equal(nextProbeMs(state, probe, 1000, false), 500);
  assert.equal(nextProbeMs(afterProbe(state, probe, true, 0), probe, 1000, false), 30_000);
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
  assert.ok(!capabilitiesOf(spec).includes('CAP_SYS_ADMIN'));
  assert.deepEqual(capabilitiesOf({ ...spec, capabilities: { add: ['net_admin'], drop: ['ALL'] } }), ['CAP_NET_ADMIN']);
  assert.ok(!capabilitiesOf({ ...spec, capabilities: { add: [], drop: ['CAP_CHOWN'] } }).includes('CAP_CHOWN'));
  assert.equal(new Set(capabilitiesOf({ ...spec, privileged: true })).size, 41);
});

test('[G27] limits, user and mounts reach the runtime\'s configuration', () => {
  const config = ociConfig({
    ...spec, limits: { cpus: 0.5, memoryBytes: 1 << 24, pids: 7 }, readOnlyRoot: true, ulimits: [{ name: 'nofile', soft: 10, hard: 20 }],
    mounts: [{ kind: 'volume', serial: 'vol', target: '/data', readOnly: true }, { kind: 'tmpfs', target: '/t', sizeBytes: 4096 }],
  }, { ...identity, uid: 33, groups: [4] }, places) as {
    process: { user: unknown; rlimits: unknown }; root: unknown; mounts: { destination: string; source: string; options: string[] }[];
    linux: { resources: { cpu: unknown; memory: unknown; pids: unknown }; maskedPaths: string[]; namespaces: unknown[] };
  };
  assert.deepEqual(config.process.user, { uid: 33, gid: 0, additionalGids: [4] });
  assert.deepEqual(config.process.rlimits, [{ type: 'RLIMIT_NOFILE', soft: 10, hard: 20 }]);
  assert.deepEqual(config.root, { path: 'rootfs', readonly: true });
  assert.deepEqual(config.linux.resources.cpu, { quota: 50_000, period: 100_000 });
  assert.deepEqual(config.linux.resources.memory, { limit: 1 << 24, swap: 1 << 24 });
  assert.deepEqual(config.linux.resources.pids, { limit: 7 });
  assert.ok(config.linux.maskedPaths.includes('/proc/kcore'));
  assert.deepEqual(config.linux.namespaces.at(-1), { type: 'network', path: '/run/netns/c1' });
  const data = config.mounts.find((mount) => mount.destination === '/data');
  assert.equal(data?.source, '/volumes/vol');
  assert.ok(data.options.includes('ro'));
  assert.ok(config.mounts.find((mount) => mount.destination === '/t')?.options.includes('size=4096'));
});

test('[G31] signals by name, short name and number; nonsense is refused', () => {
  assert.deepEqual(['SIGTERM', 'term', '15', 'HUP', 'SIGRTMIN+3'].map(signalNumber), [15, 15, 15, 1, 37]);
  for (const bad of ['', 'SIGNOTHING', '-9', 'RTMIN-1']) assert.throws(() => signalNumber(bad), Error, bad);
});
