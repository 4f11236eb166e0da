/** A service whose further replicas are clones of one that is ready, in real machines: each is itself in all that the others are not. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { hostArchitecture, ociArchitecture, type Architecture } from '#base';
import type { Container } from '#client';
import { runName } from '../../src/machines/testing/test-taps.ts';
import { freePort } from '../support/free-port.ts';
import { importSmallImage } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance(runName('s'), 168);
let port = 0;

const other: Architecture = hostArchitecture === 'x86_64' ? 'aarch64' : 'x86_64';

interface Wish {
  /** Until it is ready; a clone of it is at once. */
  readonly seconds?: number;
  readonly hook?: string;
  readonly architecture?: Architecture;
}

/** The command in a clone draws what the first drew at its start. */
const compose = (replicas: number, { seconds = 8, hook = 'busybox od -N 16 -An -tx1 /dev/urandom > /tmp/secret; hostname > /tmp/hook', architecture = hostArchitecture }: Wish = {}): string => `services:
  web:
    image: small:1
    platform: linux/${ociArchitecture[architecture]}
    pull_policy: never
    ports: ["${port}:80"]
    command: [sh, -c, "sleep ${seconds}; busybox od -N 16 -An -tx1 /dev/urandom > /tmp/secret; echo begun; exec httpd -f -p 80 -h /www"]
    stop_grace_period: 1s
    healthcheck: { test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"], interval: 2s, timeout: 5s, retries: 30 }
    x-strata: { start: clone, after_clone: [sh, -c, "${hook}"] }
    deploy: { replicas: ${replicas}, resources: { limits: { memory: 64m } } }
    restart: unless-stopped
`;

before(async () => {
  port = await freePort();
  await strata.startDaemon();
  await importSmallImage(strata);
  await importSmallImage(strata, other);
});
after(() => endClean(strata));

const web = async (): Promise<readonly Container[]> => (await strata.containers('clones')).toSorted((a, b) => a.index - b.index);
const inside = async (index: number, script: string): Promise<string> => (await strata.ok(['exec', '-p', 'clones', '-T', '--index', String(index), 'web', 'sh', '-c', script])).stdout.trim();
const different = (values: readonly string[]): void => { assert.equal(new Set(values).size, values.length, values.join('\n')); assert.ok(!values.includes('')); };

/** Of three replicas the first started, and each is itself in all that is looked at. */
async function assertThreeOfTheirOwn(architecture: Architecture): Promise<void> {
  const all = await web();
  assert.deepEqual(all.map((one) => `${one.index} ${one.startedBy?.way} ${one.startedBy?.why} ${one.health}`), ['1 start it is the first of its replicas healthy', '2 clone  healthy', '3 clone  healthy']);
  different(all.map((one) => one.machine));
  different(all.map((one) => one.address ?? ''));
  const said = await Promise.all([1, 2, 3].map((index) => inside(index, 'hostname; cat /etc/hostname; busybox uname -m; cat /tmp/hook || echo none; cat /tmp/secret; busybox od -N 16 -An -tx1 /dev/urandom; busybox ip -4 -o addr show eth0')));
  const [named = [], secrets = [], drawn = [], addresses = []] = [[0, 4], [4, 5], [5, 6], [6]].map(([from, to]) => said.map((one) => one.split('\n').slice(from, to).join()));
  assert.deepEqual(named, [1, 2, 3].map((index) => `web-${index},web-${index},${architecture},${index === 1 ? 'none' : `web-${index}`}`));
  for (const values of [secrets, drawn, addresses]) different(values);
  for (const one of all) assert.equal(await (await fetch(`http://${one.address}/`, { signal: AbortSignal.timeout(5000) })).text(), 'ok\n');
  assert.equal((await strata.ok(['logs', '-p', 'clones', 'web'])).stdout.match(/begun/g)?.length, 1, 'a clone\'s log is its own');
}

test('[V40] three replicas: the first starts, the others go on from it, and each is itself', { timeout: 600_000 }, async (context) => {
  const folder = strata.app('clones', compose(1));
  await strata.ok(['up', folder], { limitMs: 290_000 });
  strata.app('clones', compose(3));
  const up = await strata.ok(['up', folder], { limitMs: 290_000 });
  context.diagnostic(`two clones of a service that takes eight seconds: ${Math.round(up.ms)} ms`);
  await assertThreeOfTheirOwn(hostArchitecture);
});

test('[V40] fewer and more: a clone comes up as itself again, and restarted it is an ordinary one', { timeout: 600_000 }, async () => {
  const folder = strata.app('clones', compose(1));
  await strata.ok(['up', folder], { limitMs: 290_000 });
  assert.equal((await web()).length, 1);
  strata.app('clones', compose(2));
  await strata.ok(['up', folder], { limitMs: 290_000 });
  assert.deepEqual((await web()).map((one) => one.startedBy?.way), ['start', 'clone']);
  await strata.ok(['restart', '-p', 'clones', 'web']);
  assert.deepEqual((await web()).map((one) => `${one.startedBy?.way} ${one.phase}`), ['start running', 'start running']);
  assert.equal(await inside(2, 'hostname'), 'web-2');
});

test('[V42] where the command in a clone fails, the replica starts, and says why', { timeout: 600_000 }, async () => {
  const folder = strata.app('clones', compose(3, { hook: 'echo no key >&2; exit 3' }));
  await strata.ok(['up', folder], { limitMs: 290_000 });
  const [, , third] = await web();
  assert.equal(third?.startedBy?.way, 'start');
  assert.match(third?.startedBy?.why ?? '', /exit code 3: no key/);
  await strata.ok(['down', '-p', 'clones']);
  assert.deepEqual([await web(), strata.pidsOf('qemu-system')], [[], []]);
});

test('[V40] on an emulated processor too: three replicas at once are one that starts and two that go on from it', { timeout: 600_000 }, async (context) => {
  const up = await strata.ok(['up', strata.app('clones', compose(3, { seconds: 2, architecture: other }))], { limitMs: 290_000 });
  context.diagnostic(`a service that takes two seconds, and two clones of it: ${Math.round(up.ms)} ms`);
  await assertThreeOfTheirOwn(other);
});
