/** What lies under an app dies or hangs: it is noticed, never doubled, and the app heals. Then the power goes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { identifyProcess, signalProcess, waitUntil } from '#base';
import type { Machine } from '#client';
import { machineTraces } from '../support/census.ts';
import { freePort } from '../support/free-port.ts';
import { importSmallImage, smallApp, startsKept } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tvd', 163);
let url = '';
let folder = '';

before(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}/`;
  folder = strata.app('deaths', smallApp({ port }));
  await strata.startDaemon();
  await importSmallImage(strata);
  await strata.ok(['up', folder]);
});
after(() => endClean(strata));

const machine = async (): Promise<Machine> => (await strata.client().call('listMachines')).items[0] as Machine;
const kill = async (pids: readonly number[], signal: NodeJS.Signals): Promise<void> => {
  assert.ok(pids.length > 0);
  for (const pid of pids) { const identity = await identifyProcess(pid); if (identity !== undefined) await signalProcess(identity, signal); }
};
const healthy = async (): Promise<boolean> => {
  const all = await strata.containers('deaths');
  return all.length === 2 && all.every((one) => one.phase === 'running' && one.health === 'healthy') && (await fetch(url, { signal: AbortSignal.timeout(2000) }).then((answer) => answer.ok, () => false));
};
const heals = (limitMs = 60_000): Promise<true> => waitUntil(async () => (await healthy()) || undefined, { what: 'the app is healthy', limitMs, everyMs: 300 });

test('a VMM that hangs is unknown within 10 s, is not doubled, and is itself again when it goes on', { timeout: 180_000 }, async (context) => {
  const vmms = strata.pidsOf('qemu-system');
  await kill(vmms, 'SIGSTOP');
  const began = performance.now();
  try {
    await waitUntil(async () => (await machine()).phase === 'unknown' || undefined, { what: 'the machine is unknown', limitMs: 30_000, everyMs: 50 });
    context.diagnostic(`unknown after ${Math.round(performance.now() - began)} ms`);
    assert.ok(performance.now() - began <= 20_000, 'idle hosts take 8 s'); // slack for a busy host
    assert.deepEqual(strata.pidsOf('qemu-system'), vmms, 'no second instance');
  } finally { await kill(vmms, 'SIGCONT'); }
  await heals(30_000);
  assert.deepEqual(strata.pidsOf('qemu-system'), vmms, 'the same process runs');
  assert.equal(await startsKept(strata, 'deaths'), 1, 'no container was started again');
});

test('gateway and edge killed in the middle of up are back when it ends', { timeout: 180_000 }, async () => {
  await strata.ok(['down', '-p', 'deaths']);
  const up = strata.ok(['up', folder]);
  await waitUntil(() => Promise.resolve(strata.pidsOf('qemu-system').length > 0 || undefined), { what: 'up is under way', limitMs: 30_000 });
  await kill(strata.pidsOf('haproxy'), 'SIGKILL');
  await kill(strata.pidsOf('strata-edge.ts'), 'SIGKILL');
  await up;
  await heals(20_000);
  assert.ok(strata.pidsOf('strata-edge.ts').length === 1, 'one edge runs');
});

test('a VMM killed while up waits for it is started again and up ends well', { timeout: 180_000 }, async () => {
  await strata.ok(['down', '-p', 'deaths']);
  const up = strata.ok(['up', folder]);
  const pids = await waitUntil(() => { const seen = strata.pidsOf('qemu-system'); return Promise.resolve(seen.length > 0 && seen); }, { what: 'up is under way', limitMs: 30_000 });
  await kill(pids, 'SIGKILL');
  await up;
  assert.ok(await healthy());
});

test('after a loss of power whatever ran runs again, with its data', { timeout: 180_000 }, async (context) => {
  const starts = await startsKept(strata, 'deaths');
  const own = await strata.ok(['machine', 'create', 'loner', '--memory', '256M']);
  assert.equal(own.code, 0);
  await strata.ok(['machine', 'create', 'asleep', '--memory', '256M', '--no-start']).catch(() => strata.ok(['machine', 'stop', 'asleep']));
  const ids = (await strata.client().call('listMachines')).items.map((one) => `${one.name} ${one.id}`).join();
  await strata.loseAll();
  const began = performance.now();
  await strata.startDaemon();
  await heals(90_000);
  context.diagnostic(`healed after ${Math.round(performance.now() - began)} ms`);
  assert.equal(await startsKept(strata, 'deaths'), starts + 1);
  const phases = async () => Object.fromEntries((await strata.client().call('listMachines')).items.map((one) => [one.name, one.phase]));
  await waitUntil(async () => (await phases())['loner'] === 'running' || undefined, { what: 'the machine of its own runs', limitMs: 30_000 });
  assert.notEqual((await phases())['asleep'], 'running');
  await strata.ok(['machine', 'rm', '--force', 'loner']);
  await strata.ok(['machine', 'rm', '--force', 'asleep']);
  await strata.ok(['down', '-v', '-p', 'deaths']);
  assert.deepEqual(machineTraces(strata.instance), [], ids);
});
