/** Metrics, from the backend's words to the text that is scraped. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { openFakeBackend } from '../fake-backend.ts';
import { openTestApi } from '../test-api.ts';
import { renderMetrics } from './render-metrics.ts';

/** Samples by name and labels. */
const samplesOf = (text: string): Map<string, number> => new Map(text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));

test('[A14] hosts, machines, pool, services, containers and the daemon are told as numbers, in base units', async () => {
  const samples = samplesOf(await renderMetrics(openFakeBackend()));
  const shape = '{engine="qemu",architecture="x86_64",processors="1",memory_mib="256",scratch_mib="1024",card="true"}';
  deepEqual(['size', 'ready', 'held_bytes', 'hits_total', 'misses_total', 'refills_total', 'refill_seconds'].map((name) => samples.get(`strata_pool_${name}${shape}`)), [2, 1, 40_000_000, 3, 1, 4, 0.7]);
  equal(samples.get('strata_service_replicas_wanted{app="shop",service="web"}'), 1);
  equal(samples.get('strata_container_restarts_total{app="shop",service="web",replica="2"}'), 0);
  equal([...samples].filter(([name]) => name.startsWith('strata_machines{')).reduce((sum, [, value]) => sum + value, 0), 1);
  for (const name of ['strata_host_memory_available_bytes{host="here"}', 'process_resident_memory_bytes', 'process_start_time_seconds']) ok((samples.get(name) ?? 0) > 0, name);
  for (const [name, value] of samples) equal(Number.isFinite(value), true, name);
});

test('[A14] each metric is described once; two questions do not add up; no id is a label', async () => {
  const backend = openFakeBackend();
  const [first, second] = [await renderMetrics(backend), await renderMetrics(backend)];
  const ours = (text: string) => [...samplesOf(text)].filter(([name]) => name.startsWith('strata_'));
  deepEqual(ours(second), ours(first));
  const described = [...first.matchAll(/^# TYPE (\S+) (gauge|counter)$/gm)].map(([, name, kind]) => [name, kind] as const);
  equal(new Set(described.map(([name]) => name)).size, described.length);
  for (const [name = '', kind] of described) equal(name.endsWith('_total'), kind === 'counter', name);
  for (const { id } of await backend.machines.list()) equal(first.includes(id), false, id);
});

test('[A14] it is text over the API, and an unknown query is refused as anywhere', async (t) => {
  const { ask } = await openTestApi(t);
  const { status, headers, text } = await ask('GET', '/metrics');
  deepEqual([status, headers['content-type']], [200, 'text/plain; version=0.0.4; charset=utf-8']);
  match(text, /^# HELP strata_build_info Version of the daemon; always 1$/m);
  equal((await ask('GET', '/metrics?x=1')).status, 400);
});
