/**
 * What happens at once: an up that has nothing to do, a VMM's death is noticed, and a daemon ends that is told to in the middle of
 * everything; machines go on, and the next call finds a daemon.
 * Runs alone: all are held to bounds of milliseconds.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { identifyProcess, isAlive, signalProcess, waitUntil } from '#base';
import type { Machine } from '#client';
import { census } from '../support/census.ts';
import { freePort } from '../support/free-port.ts';
import { importSmallImage, smallApp, startsKept } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tde', 167);
let url = '';
let folder = '';

before(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}/`;
  folder = strata.app('stays', smallApp({ port }));
  await strata.startDaemon();
  await importSmallImage(strata);
  await strata.ok(['up', folder]);
});
after(() => endClean(strata));

const machine = async (): Promise<Machine> => (await strata.client().call('listMachines')).items[0] as Machine;
const healthy = async (): Promise<boolean> => {
  const all = await strata.containers('stays');
  return all.length === 2 && all.every((one) => one.phase === 'running' && one.health === 'healthy') && (await fetch(url, { signal: AbortSignal.timeout(2000) }).then((answer) => answer.ok, () => false));
};

test('a second up, which changes nothing, is quick', { timeout: 60_000 }, async () => {
  const before = await strata.containers('stays');
  const up = await strata.ok(['up', folder]);
  assert.deepEqual((await strata.containers('stays')).map((one) => [one.id, one.startedAt, one.restarts]), before.map((one) => [one.id, one.startedAt, one.restarts]));
  assert.ok(up.ms < 2000, `${Math.round(up.ms)} ms`);
});

test('a killed VMM is noticed within a second and the app heals with its data', { timeout: 180_000 }, async (context) => {
  const [vmm] = strata.pidsOf('qemu-system');
  const identity = await identifyProcess(vmm ?? 0);
  assert.ok(identity !== undefined && await signalProcess(identity, 'SIGKILL'));
  const began = performance.now();
  await waitUntil(async () => (await machine()).phase !== 'running' || undefined, { what: 'the status tells it', limitMs: 5000, everyMs: 20 });
  const noticedMs = performance.now() - began;
  await waitUntil(async () => (await healthy()) || undefined, { what: 'the app is healthy', limitMs: 60_000, everyMs: 300 });
  const healedMs = performance.now() - began;
  assert.ok(noticedMs <= 1500, `noticed after ${Math.round(noticedMs)} ms`);
  assert.equal(strata.pidsOf('qemu-system').length, 1);
  assert.equal(await startsKept(strata, 'stays'), 2, 'the volume kept the first start');
  context.diagnostic(`noticed after ${Math.round(noticedMs)} ms, healed after ${Math.round(healedMs)} ms`);
});

/** Watches all changes until the line is lost; returns the error's code. */
async function watch(): Promise<string> {
  try {
    for await (const event of strata.client().stream('watchEvents')) assert.ok(event.revision > 0);
    return 'ended';
  } catch (error) { return (error as { code: string }).code; }
}

test('a daemon that is busy and watched ends within two seconds of being told; calls meanwhile find the next one', { timeout: 300_000 }, async () => {
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
  const refused = await strata.cli(['serve', '--stop', '--all']);
  assert.deepEqual([refused.code, /machines still run: (?=.*stays-x86-64)(?=.*more-x86-64)/.test(refused.stderr)], [1, true], refused.stderr);
  assert.ok(await strata.daemon() !== undefined, 'nothing is ended where a machine runs');
  for (const app of ['stays', 'more']) await strata.ok(['down', '-v', '-p', app]);
  await strata.ok(['serve', '--stop', '--all']);
  assert.deepEqual(census(strata.instance).filter((line) => !line.startsWith('folder ')), [], 'nothing runs any more');
  await strata.ok(['app', 'ls']); // and all of it comes back
});
