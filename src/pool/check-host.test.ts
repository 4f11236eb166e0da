/** What the doctor says of any host, how Debian's versions are ordered, and what apt's failures mean. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asStrataError, runProcess, StrataError, systemClock } from '#base';
import { checkHost, type HostFindings } from './check-host.ts';
import { compareDebianVersions } from './compare-debian-versions.ts';
import { findPackages, foundIn } from './find-packages.ts';
import { hostPackages, packagesFor } from './host-packages.ts';
import { explain, installPackages } from './install-packages.ts';

const gib = 1024 ** 3;
const good: HostFindings = {
  root: true, packages: [{ name: 'haproxy', purpose: 'gateway', version: '2.6.12', serves: true }], cgroup: 'v2', tun: true, nftables: null, kernelFileSystems: ['overlay', 'squashfs'],
  memory: { totalMiB: 8000, availableMiB: 6000 }, disk: { path: '/', totalBytes: 100 * gib, freeBytes: 50 * gib },
  proofs: [{ architecture: 'x86_64', engine: 'qemu', accelerator: 'tcg', works: true, evidence: 'ran' }, { architecture: 'x86_64', engine: 'qemu', accelerator: 'kvm', works: false, evidence: 'hung' }],
};

test('[P6] a good host needs nothing, but is told that it has no KVM', () => {
  const checks = checkHost(good);
  deepEqual(checks.filter((one) => one.status !== 'ok').map((one) => [one.name, one.status]), [['qemu x86_64 kvm', 'warn']]);
  for (const one of checks) equal(one.advice === '', one.status === 'ok', one.name);
});

const worse: readonly [string, Partial<HostFindings>, string, 'warn' | 'fail'][] = [
  ['not root', { root: false }, 'root', 'fail'],
  ['a package is missing', { packages: [{ name: 'haproxy', purpose: 'gateway', version: null, serves: false }] }, 'haproxy', 'fail'],
  ['a package is too old', { packages: [{ name: 'haproxy', purpose: 'gateway', version: '2.2', minimal: '2.6', serves: false }] }, 'haproxy', 'fail'],
  ['cgroups of two kinds', { cgroup: 'hybrid' }, 'cgroup', 'warn'],
  ['no tun', { tun: false }, 'tun', 'fail'],
  ['no nftables', { nftables: 'not supported' }, 'nftables in the kernel', 'fail'],
  ['no squashfs', { kernelFileSystems: ['overlay'] }, 'squashfs', 'warn'],
  ['little memory', { memory: { totalMiB: 4000, availableMiB: 1000 } }, 'memory', 'warn'],
  ['no memory', { memory: { totalMiB: 4000, availableMiB: 100 } }, 'memory', 'fail'],
  ['a full disk', { disk: { path: '/', totalBytes: gib, freeBytes: 1 } }, 'disk', 'fail'],
  ['an architecture that runs nowhere', { proofs: [{ architecture: 'aarch64', engine: 'qemu', accelerator: 'tcg', works: false, evidence: 'no kernel' }] }, 'qemu aarch64 tcg', 'fail'],
];

for (const [name, change, item, status] of worse) {
  test(`[P6] ${name}: ${status}, with advice`, () => {
    const one = checkHost({ ...good, ...change }).find((check) => check.name === item);
    equal(one?.status, status);
    ok((one?.advice.length ?? 0) > 5);
  });
}

test('[P7] the order is the one dpkg has', async () => {
  const part = fc.stringMatching(/^[0-9][0-9a-c.+~]{0,6}$/);
  const version = fc.record({ epoch: fc.constantFrom('', '1:'), upstream: part, revision: fc.constantFrom('', '-1', '-1~deb12u1', '-2+b1') }).map((one) => one.epoch + one.upstream + one.revision);
  for (const [one, other] of fc.sample(fc.tuple(version, version), { numRuns: 60, seed: 5 })) {
    const order = Math.sign(compareDebianVersions(one, other));
    const operator = order < 0 ? 'lt' : order > 0 ? 'gt' : 'eq';
    equal((await runProcess(['dpkg', '--compare-versions', one, operator, other], { okCodes: [0, 1] })).code, 0, `${one} ${operator} ${other}`);
  }
});

test('[P7] what is half installed or too old does not serve', async () => {
  const packages = [{ name: 'a', purpose: '', programs: [], use: 'host' as const, minimal: '2.0' }, { name: 'b', purpose: '', programs: [], use: 'host' as const }, { name: 'c', purpose: '', programs: [], use: 'host' as const }];
  deepEqual(foundIn('a\tinstalled\t1.9\nb\tconfig-files\t1.0\nc\tinstalled\t1\n', packages).map((one) => [one.version, one.serves]), [['1.9', false], [null, false], ['1', true]]);
  equal((await findPackages([{ name: 'dpkg', purpose: '', programs: [], use: 'host' }]))[0]?.serves, true);
  deepEqual([packagesFor('x86_64').some((one) => one.use === 'tests'), packagesFor('aarch64', true).some((one) => one.use === 'amd64'), new Set(hostPackages.map((one) => one.name)).size], [false, true, hostPackages.length]);
});

test('[P8] what apt says is explained', () => {
  const failed = (stderr: string) => new StrataError('apt-get failed', { code: 'process.failed', kind: 'internal', details: { stderr } });
  const table: readonly [string, string][] = [
    ['E: Unable to locate package nope', 'pool.noSuchPackage'], ['E: Failed to fetch http://x  Could not connect', 'pool.noNetwork'], ['E: Could not resolve host', 'pool.noNetwork'],
    ['E: Could not get lock /var/lib/dpkg/lock-frontend', 'pool.aptBusy'], ['E: You don\'t have enough free space in /var/cache/apt/archives/.', 'pool.diskFull'], ['E: something new', 'pool.installFailed'],
  ];
  for (const [stderr, code] of table) {
    const error = explain(failed(stderr), ['haproxy']);
    equal(error.code, code);
    match(error.message, /E: /);
    ok((error.advice?.length ?? 0) > 5);
  }
});

test('[P8] lists are fetched first where they are old, each step is said, and stale lists are fetched once more', { skip: process.getuid?.() === 0 ? false : 'only root installs' }, async () => {
  const said: string[] = [];
  const called: string[] = [];
  let failures = 1;
  const run = ((argv: readonly string[]) => {
    const verb = argv.find((word) => ['update', 'install'].includes(word)) as string;
    called.push(verb);
    if (verb === 'install' && failures-- > 0) return Promise.reject(new StrataError('x', { code: 'process.failed', kind: 'internal', details: { stderr: 'E: Failed to fetch' } }));
    return Promise.resolve({ code: 0, stdout: '', stderr: '' });
  }) as typeof runProcess;
  await installPackages(['haproxy'], { clock: systemClock, run, listsFrom: () => Promise.resolve(0), onProgress: ({ message }) => said.push(message) });
  deepEqual(called, ['update', 'install', 'update', 'install']);
  ok(said[1]?.includes('haproxy'));
  await installPackages([], { clock: systemClock, run: () => Promise.reject(new Error('nothing is to be run')) });
  await rejects(installPackages(['-o=x'], { clock: systemClock, run }), (error) => asStrataError(error, '').code === 'pool.badPackageName');
});
