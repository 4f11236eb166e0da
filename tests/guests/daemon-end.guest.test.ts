/** The daemon is told to end in the middle of everything: it does at once, machines go on, and the next call finds a daemon. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isAlive, signalProcess, waitUntil } from '#base';
import { freePort } from '../support/free-port.ts';
import { importSmallImage, smallApp } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tde', 167);
before(async () => { await strata.startDaemon(); await importSmallImage(strata); });
after(() => endClean(strata));

test('a daemon that is busy and watched ends within two seconds of being told; calls meanwhile find the next one', { timeout: 240_000 }, async () => {
  await strata.ok(['up', strata.app('stays', smallApp({ port: await freePort() }))]);
  const before = await strata.containers('stays');
  const watching = strata.cli(['events'], { limitMs: 120_000 });
  const following = strata.cli(['logs', '-f', '-p', 'stays'], { limitMs: 120_000 });
  const booting = strata.cli(['machine', 'create', 'slow'], { limitMs: 120_000 });
  const daemon = await strata.daemon();
  assert.ok(daemon !== undefined);
  await waitUntil(async () => (await strata.ok(['machine', 'ls', '-o', 'json'])).stdout.includes('"slow"'), { what: 'the machine is being made', limitMs: 60_000 });
  const asking = strata.cli(['ps', '-p', 'stays'], { limitMs: 60_000 });
  const began = performance.now();
  await signalProcess(daemon, 'SIGTERM');
  await waitUntil(async () => !(await isAlive(daemon)), { what: 'the daemon has ended', limitMs: 20_000 });
  const tookMs = performance.now() - began;
  assert.ok(tookMs < 3000, `it took ${Math.round(tookMs)} ms`);
  const asked = await asking;
  assert.equal(asked.code, 0, asked.stderr);
  assert.match(asked.stdout, /stays-web-1/);
  const [watched] = await Promise.all([watching, following, booting]);
  assert.equal(watched.code, 1);
  assert.match(watched.stderr, /the daemon has ended[^]*strata events --since \d+/);
  const later = await strata.containers('stays');
  assert.deepEqual(later.map((one) => [one.id, one.startedAt, one.restarts]), before.map((one) => [one.id, one.startedAt, one.restarts]), 'no container noticed');
  assert.match((await strata.ok(['serve', '--stop'])).stderr, /the daemon \(process \d+\) has ended; machines and their services go on/);
  assert.match((await strata.ok(['serve', '--stop'])).stderr, /no daemon runs/);
  assert.equal(await strata.daemon(), undefined);
  await waitUntil(async () => (await strata.client().call('getMachine', { params: { machine: 'slow' } })).phase === 'running', { what: 'the machine whose start was cut off runs', limitMs: 90_000 });
  await strata.ok(['machine', 'stop', 'slow']);
  await strata.ok(['machine', 'rm', 'slow']);
  await strata.ok(['down', '-v', '-p', 'stays']);
});
