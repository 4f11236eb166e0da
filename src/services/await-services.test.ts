/** The waiting of `up`, with records in a store and a clock of its own. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { containerSpecSchema, containerStatusSchema, type ContainerStatus } from '#containers';
import type { Clock } from '#base';
import { recordsOf } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { appStatusSchema, type AppStatus } from './app-record.ts';
import { awaitServices, steadyMs } from './await-services.ts';
import { sampleApp, sampleContainer, sampleGuest, sampleService, sampleStatus } from './testing/sample-app.ts';

const began = 1_000_000;
const record = sampleApp([sampleService('web')]);

interface Story { readonly at: number; /** Replicas, of which one is wished. */ readonly replicas?: number; readonly state: AppStatus['services'][number]['state']; readonly why?: string; readonly status?: Partial<ContainerStatus> }

/** Tells the story as time goes by, in steps of what is waited for; answers when the waiting ended. */
async function follow(t: TestContext, story: readonly Story[], options: { readonly health?: boolean; readonly waitMs?: number; readonly skewMs?: number } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-await-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  t.after(async () => { await store.close(); rmSync(folder, { recursive: true }); });
  const appStatuses = recordsOf(store, 'app-status', appStatusSchema);
  const containers = recordsOf(store, 'container', containerSpecSchema);
  const containerStatuses = recordsOf(store, 'container-status', containerStatusSchema);
  const health = { test: { kind: 'command' as const, argv: ['true'] }, intervalMs: 1, timeoutMs: 1, retries: 1, startPeriodMs: 0, startIntervalMs: 1 };
  const spec = sampleContainer('web', 1, { appId: record.id, guest: sampleGuest({ id: 'cweb1', health: options.health === true ? health : null }) });
  await containers.put(spec.id, spec);
  let now = began;
  const tell = async () => {
    const page = story.filter((one) => began + one.at <= now).at(-1) as Story;
    await appStatuses.put(record.id, { id: record.id, generation: record.generation, settled: false, waitingOn: [], services: [{ name: 'web', wanted: 1, ready: 0, state: page.state, why: page.why ?? '' }] });
    const other = sampleContainer('web', 2, { appId: record.id, draining: true });
    if (page.replicas === 2) await containers.put(other.id, other);
    else await containers.delete(other.id);
    await containerStatuses.put(spec.id, sampleStatus(spec, { startedAt: began + page.at - (options.skewMs ?? 0), ...page.status }));
  };
  await tell();
  const clock: Clock = { now: () => now, monotonic: () => now, wait: async (ms) => { now += ms; await tell(); } };
  const said: string[] = [];
  const waiting = awaitServices({ appStatuses, containers, containerStatuses, lastWords: async () => '  cannot read /etc/shop.conf', clock }, record, record.spec.services, { waitMs: options.waitMs ?? 60_000, signal: new AbortController().signal }, {
    step: async (_name, body) => body((message) => said.push(message)), warn: () => undefined,
  });
  return { waiting, said, took: () => now - began };
}

test('[V21] a container without a health check that ends at once did not come up: service, exit code and last words are told', async (t) => {
  const { waiting } = await follow(t, [{ at: 0, state: 'ready' }, { at: 700, state: 'failed', why: 'shop-web-1 ended with exit code 3', status: { phase: 'exited', exitCode: 3 } }]);
  await rejects(waiting, { code: 'service.failed', message: 'service web did not come up: shop-web-1 ended with exit code 3; it printed last:\n  cannot read /etc/shop.conf' });
});

test('[V21] one that is started again and again counts from each start', async (t) => {
  const { waiting, said } = await follow(t, [0, 900, 1800, 2700].flatMap((at, restarts): Story[] => [
    { at, state: 'ready', status: { restarts } }, { at: at + 200, state: 'ready', status: { phase: 'waiting', exitCode: 1, restarts } }, { at: at + 400, state: restarts === 3 ? 'failed' : 'starting', why: restarts === 3 ? 'shop-web-1 was started 4 times' : 'it ended', status: { phase: 'waiting', exitCode: 1, restarts } },
  ]));
  await rejects(waiting, { code: 'service.failed', message: /started 4 times/ });
  ok(said.includes('it ended'));
});

test('[V21] one that stays up is done after that moment, one that ran before and one with a health check at once, a job when it ended', async (t) => {
  const steady = await follow(t, [{ at: 0, state: 'ready' }]);
  await steady.waiting;
  ok(steady.took() >= steadyMs && steady.took() < steadyMs + 200, `${steady.took()}`);
  deepEqual(steady.said, ['it runs; whether it stays up shows in a moment']);
  for (const options of [{ skewMs: steadyMs }, { health: true }]) {
    const before = await follow(t, [{ at: 0, state: 'ready' }], options);
    await before.waiting;
    equal(before.took(), 0);
  }
  const ahead = await follow(t, [{ at: 0, state: 'ready' }], { skewMs: -60_000 });
  await ahead.waiting;
  ok(ahead.took() < steadyMs + 200, 'a guest whose clock is ahead keeps nobody waiting');
  const job = await follow(t, [{ at: 0, state: 'ready' }, { at: 300, state: 'completed', status: { phase: 'exited', exitCode: 0 } }]);
  await job.waiting;
  equal(job.took(), 300);
});

test('[V22] who waited in vain is told for how long and what was last missing', async (t) => {
  const { waiting } = await follow(t, [{ at: 0, state: 'starting', why: 'machine shop-x86-64 starts', status: { phase: 'pending' } }], { waitMs: 3000 });
  const error = await waiting.then(() => undefined, (thrown: Error & { code: string; kind: string }) => thrown);
  deepEqual([error?.code, error?.kind], ['service.notReady', 'timeout']);
  match(error?.message ?? '', /^service web was not ready within 3 s: machine shop-x86-64 starts$/);
});

test('[V24] what is too many is awaited until it is gone', async (t) => {
  const { waiting, said, took } = await follow(t, [{ at: 0, state: 'ready', replicas: 2 }, { at: 700, state: 'ready' }], { health: true });
  await waiting;
  deepEqual([said, took()], [['it runs; 1 of its replicas is being removed'], 700]);
});
