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

/** Watches all changes until the line is lost; returns the error's code. */
async function watch(): Promise<string> {
  try {
    for await (const event of strata.client().stream('watchEvents')) assert.ok(event.revision > 0);
    return 'ended';
  } catch (error) { return (error as { code: string }).code; }
}

test('a daemon that is busy and watched ends within two seconds of being told; calls meanwhile find the next one', { timeout: 240_000 }, async () => {
  await strata.ok(['up', strata.app('stays', smallApp({ port: await freePort() }))]);
  const before = await strata.containers('stays');
  const watching = watch();
  const more = strata.app('more', smallApp({ port: await freePort() }));
  const coming = strata.cli(['up', more], { limitMs: 120_000 });
  const daemon = await strata.daemon();
  assert.ok(daemon !== undefined);
  await waitUntil(async () => (await strata.ok(['machine', 'ls', '-o', 'json'])).stdout.includes('"more-x86-64"'), { what: 'the machine of another app is being made', limitMs: 60_000 });
  const asking = strata.cli(['ps', '-p', 'stays'], { limitMs: 60_000 });
  const began = performance.now();
  await signalProcess(daemon, 'SIGTERM');
  await waitUntil(async () => !(await isAlive(daemon)), { what: 'the daemon has ended', limitMs: 20_000 });
  const tookMs = performance.now() - began;
  assert.ok(tookMs < 3000, `it took ${Math.round(tookMs)} ms`);
  const asked = await asking;
  assert.equal(asked.code, 0, asked.stderr);
  assert.match(asked.stdout, /stays-web-1/);
  assert.equal(await watching, 'client.unreachable');
  await coming;
  const later = await strata.containers('stays');
  assert.deepEqual(later.map((one) => [one.id, one.startedAt, one.restarts]), before.map((one) => [one.id, one.startedAt, one.restarts]), 'no container noticed');
  await strata.ok(['up', more]); // whatever became of the one that was interrupted
  assert.match((await strata.ok(['serve', '--stop'])).stderr, /the daemon \(process \d+\) has ended; machines and their services go on/);
  assert.match((await strata.ok(['serve', '--stop'])).stderr, /no daemon runs/);
  assert.equal(await strata.daemon(), undefined);
  for (const app of ['stays', 'more']) await strata.ok(['down', '-v', '-p', app]);
});
