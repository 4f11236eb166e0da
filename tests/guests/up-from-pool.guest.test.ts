/** An app whose machine stood ready: `up` takes it from the pool, and `down` leaves the pool's own alone. */
import { deepEqual, equal } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { waitUntil } from '#base';
import type { PooledMachines } from '#contract';
import { runName } from '../../src/machines/testing/test-taps.ts';
import { machineTraces } from '../support/census.ts';
import { freePort } from '../support/free-port.ts';
import { importSmallImage } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance(runName('p'), 142, { poolSize: 1 });

before(async () => {
  await strata.startDaemon();
  await importSmallImage(strata);
});
after(() => endClean(strata));

const engine = 'qemu';
const compose = (port: number): string => `services:
  web:
    image: small:1
    pull_policy: never
    ports: ["${port}:80"]
    stop_grace_period: 1s
    healthcheck: { test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"], interval: 1s, timeout: 5s, retries: 30 }
    x-strata: { engine: ${engine} }
`;

/** As `strata pool ls` shows it. */
async function shapeNow(): Promise<PooledMachines | undefined> {
  const { stdout } = await strata.ok(['pool', 'ls', '-o', 'json']);
  return (JSON.parse(stdout) as { items: PooledMachines[] }).items.find((one) => one.engine === engine);
}

const full = (): Promise<PooledMachines> => waitUntil(async () => {
  const shape = await shapeNow();
  return shape?.ready === 1 ? shape : undefined;
}, { what: 'a machine of the app\'s shape stands ready', limitMs: 120_000, everyMs: 500 });

/** Where there is none, with what the gateway had to go by. */
async function answerAt(port: number): Promise<string> {
  const began = performance.now();
  const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
  if (answer.ok) return answer.text();
  const servers = readFileSync(join(strata.instance.runDir, 'haproxy', 'haproxy.cfg'), 'utf8').split('\n').filter((line) => / bind | server |^backend /.test(line));
  return `${answer.status} after ${Math.round(performance.now() - began)} ms, of ${servers.join(', ')}; ${JSON.stringify(await strata.containers())}`;
}

const isOfPool = (line: string): boolean => /\bmp[0-9a-f]{12}\b/.test(line);
/** Ids, as long as they are nobody's, of pooled machines that the host has anything of. */
const pooledIds = (): ReadonlySet<string> => new Set(machineTraces(strata.instance).flatMap((line) => /\bmp[0-9a-f]{12}\b/.exec(line) ?? []));

test('[M85] an app\'s machine comes from the pool, answers, and leaves nothing', { timeout: 400_000 }, async (context) => {
  const port = await freePort();
  const folder = strata.app('pooled', compose(port));
  await strata.ok(['up', folder]);
  await strata.ok(['down', '-p', 'pooled']);
  const before = await full();
  const { ms } = await strata.ok(['up', folder]);
  const machines = (await strata.client().call('listMachines')).items;
  deepEqual(machines.map((one) => [one.engine, one.startedBy]), [[engine, { way: 'pool', why: '' }]]);
  equal(await answerAt(port), 'ok\n');
  equal((await shapeNow())?.hits, before.hits + 1);
  await strata.ok(['down', '-p', 'pooled']);
  await full();
  deepEqual(machineTraces(strata.instance).filter((line) => !isOfPool(line)), [], 'of the app');
  equal(pooledIds().size, 1, 'of the pool what stands ready');
  context.diagnostic(`up from the pool: ${Math.round(ms)} ms`);
});
