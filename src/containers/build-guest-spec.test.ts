/** Wishes joined with images. */
import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { buildGuestSpec, canonicalJson, type ContainerWish } from './build-guest-spec.ts';
import type { ImageConfig } from './images/image.ts';

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const wish: ContainerWish = {
  id: 'c1', hostname: 'web-1', imageDigest: `sha256:${'ab'.repeat(32)}`, entrypoint: null, command: null, environment: {}, workingDir: null, user: null, groupAdd: [], readOnly: false, mounts: [],
  limits: {}, network: { address: '10.88.1.2', gateway: '10.88.0.1', mac: '02:00:0a:58:01:02' }, dnsServers: ['10.88.0.1'], searchDomain: 'shop.internal', extraHosts: [], capAdd: [], capDrop: [],
  privileged: false, init: false, tty: false, stopSignal: null, stopGraceMs: 10_000, restart: { policy: 'no' }, probe: null, sysctls: {}, ulimits: [], shmBytes: 0,
};
const image: ImageConfig = {
  entrypoint: ['/entry'], command: ['serve'], env: ['PATH=/opt/bin', 'MODE=image'], workingDir: '/srv', user: 'app', exposedPorts: [], volumes: [], labels: {}, stopSignal: 'SIGQUIT',
  healthcheck: { test: ['CMD-SHELL', 'ask me'], retries: 7 },
};
const build = (changes: Partial<ContainerWish> = {}, of: ImageConfig = image) => buildGuestSpec({ ...wish, ...changes }, of, digestOf);

test('[K1] the digest follows what a container is run with, whatever the order of names', () => {
  equal(build().digest, build().digest);
  equal(build({ environment: { A: '1', B: '2' } }).digest, build({ environment: { A: '1', B: '2' } }).digest);
  equal(canonicalJson({ a: 1, b: { d: [1, 2], c: undefined } }), canonicalJson({ b: { d: [1, 2] }, a: 1 }));
  const changes: readonly Partial<ContainerWish>[] = [
    { command: ['other'] }, { entrypoint: ['/other'] }, { environment: { A: '1' } }, { workingDir: '/' }, { user: 'root' }, { groupAdd: ['1'] }, { readOnly: true }, { limits: { cpus: 1 } }, { capAdd: ['NET_ADMIN'] },
    { capDrop: ['ALL'] }, { privileged: true }, { init: true }, { tty: true }, { stopSignal: 'SIGINT' }, { stopGraceMs: 1 }, { restart: { policy: 'always' } }, { probe: 'none' }, { sysctls: { a: '1' } },
    { ulimits: [{ name: 'nofile', soft: 1, hard: 1 }] }, { shmBytes: 1 }, { hostname: 'x' }, { extraHosts: [{ name: 'x', address: '1.2.3.4' }] }, { dnsServers: ['1.1.1.1'] }, { searchDomain: 'y' },
    { imageDigest: `sha256:${'cd'.repeat(32)}` }, { mounts: [{ kind: 'tmpfs', target: '/t' }] }, { network: null },
  ];
  const digests = [build().digest, ...changes.map((change) => build(change).digest)];
  equal(new Set(digests).size, digests.length);
});

test('[K2] entrypoint, command and environment join as Docker joins them', () => {
  deepEqual(build().argv, ['/entry', 'serve']);
  deepEqual(build({ command: ['once'] }).argv, ['/entry', 'once']);
  deepEqual(build({ entrypoint: ['/mine'] }).argv, ['/mine']);
  deepEqual(build({ entrypoint: ['/mine'], command: ['x'] }).argv, ['/mine', 'x']);
  deepEqual(build({ entrypoint: [] , command: ['x'] }).argv, ['x']);
  const env = (changes: Partial<ContainerWish>, of?: ImageConfig) => Object.fromEntries(build(changes, of).env.map((pair) => pair.split('=') as [string, string]));
  deepEqual(env({ environment: { MODE: 'mine' } }), { PATH: '/opt/bin', HOSTNAME: 'web-1', MODE: 'mine' });
  equal(env({}, { ...image, env: [] })['PATH']?.startsWith('/usr/local/sbin'), true);
  deepEqual([build().cwd, build().user, build().stopSignal], ['/srv', 'app', 'SIGQUIT']);
  deepEqual([build({ workingDir: '/w', user: '5', stopSignal: 'SIGINT' }).cwd, build({}, { ...image, workingDir: '', stopSignal: '' }).cwd, build({}, { ...image, stopSignal: '' }).stopSignal], ['/w', '/', 'SIGTERM']);
});

test('[K3] the wish\'s health check, else the image\'s, with Docker\'s defaults', () => {
  const own = { test: { kind: 'tcp', port: 80 }, intervalMs: 1, timeoutMs: 2, retries: 3, startPeriodMs: 4, startIntervalMs: 5 } as const;
  deepEqual(build({ probe: own }).health, own);
  equal(build({ probe: 'none' }).health, null);
  deepEqual(build().health, { test: { kind: 'command', argv: ['/bin/sh', '-c', 'ask me'] }, intervalMs: 30_000, timeoutMs: 30_000, retries: 7, startPeriodMs: 0, startIntervalMs: 5_000 });
  for (const none of [null, { test: [] }, { test: ['NONE'] }]) equal(build({}, { ...image, healthcheck: none }).health, null);
  notEqual(build({}, { ...image, healthcheck: { test: ['CMD', 'ask', 'me'] } }).health, null);
});

test('[K2] names resolve through files made for the container alone', () => {
  const files = build({ extraHosts: [{ name: 'box', address: '9.9.9.9' }] }).mounts.flatMap((mount) => (mount.kind === 'file' ? [[mount.target, Buffer.from(mount.content, 'base64').toString()] as const] : []));
  const text = Object.fromEntries(files);
  deepEqual(Object.keys(text), ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf']);
  equal(text['/etc/hosts']?.includes('10.88.1.2\tweb-1'), true);
  equal(text['/etc/hosts']?.includes('9.9.9.9\tbox'), true);
  deepEqual(text['/etc/resolv.conf']?.split('\n').slice(0, 2), ['nameserver 10.88.0.1', 'search shop.internal']);
});
