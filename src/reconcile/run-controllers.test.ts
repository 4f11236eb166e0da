/** The driver of controllers over a real store. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { seededDice, silentLog, StrataError, systemClock, waitUntil } from '#base';
import type { Store } from '#store';
import type { Controller, ReconcileResult } from './controller.ts';
import { runControllers, type ControllersRun, type RunControllersOptions } from './run-controllers.ts';
import { openTestStore } from './testing/open-test-store.ts';

const wait = (what: string, look: () => boolean) => waitUntil(look, { what, limitMs: 10_000, everyMs: 5 });

function controllerOf(store: Store, reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>): Controller {
  return {
    name: 'things', reconcile,
    watches: [{ prefix: 'thing/', keysOf: (changed) => [changed.slice('thing/'.length)] }],
    allKeys: async () => (await store.list('thing/')).entries.map((one) => one.key.slice('thing/'.length)),
  };
}

function start(controller: Controller, store: Store, options: Partial<RunControllersOptions> = {}): ControllersRun {
  return runControllers({ controllers: [controller], store, clock: systemClock, dice: seededDice(3), log: silentLog, backOff: { firstMs: 20, maxMs: 200 }, ...options });
}

const put = (store: Store, id: string, value: unknown = 1) => store.transact({ writes: [{ put: `thing/${id}`, value }] });

test('[R4] all keys are looked at from the start, changed ones when they change, deleted ones too', async (t) => {
  const { store } = await openTestStore(t);
  await put(store, 'old');
  const looked: string[] = [];
  const run = start(controllerOf(store, async (key) => { looked.push(key); return Promise.resolve({}); }), store);
  await wait('old was looked at', () => looked.includes('old'));
  await put(store, 'new');
  await wait('new was looked at', () => looked.includes('new'));
  await wait('all is quiet', () => run.quiet);
  const before = looked.length;
  await store.transact({ writes: [{ delete: 'thing/new' }] });
  await wait('the deletion was seen', () => looked.slice(before).includes('new'));
  await run.stop();
});

test('[R4] rounds look again though nothing changed', async (t) => {
  const { store } = await openTestStore(t);
  await put(store, 'a');
  let looks = 0;
  const run = start(controllerOf(store, async () => { looks += 1; return Promise.resolve({}); }), store, { fullRoundMs: 30 });
  await wait('it was looked at in several rounds', () => looks > 4);
  await run.stop();
});

test('[R4] a watch that was compacted away begins anew and sees what it missed', async (t) => {
  const { store } = await openTestStore(t, { historyChanges: 16 });
  const seen = new Map<string, unknown>();
  const run = start(controllerOf(store, async (key) => { seen.set(key, (await store.get(`thing/${key}`))?.value); return {}; }), store);
  for (let index = 0; index < 400; index += 1) await store.transact({ writes: Array.from({ length: 10 }, (_none, at) => ({ put: `thing/${at}`, value: index })) });
  await wait('the last value of each was seen', () => seen.size === 10 && [...seen.values()].every((value) => value === 399));
  await run.stop();
});

test('[R1] one key never runs twice at once, many keys run together up to the limit', async (t) => {
  const { store } = await openTestStore(t);
  const running = new Map<string, number>();
  let most = 0;
  let ended = 0;
  const run = start(controllerOf(store, async (key) => {
    equal(running.get(key) ?? 0, 0);
    running.set(key, 1);
    most = Math.max(most, [...running.values()].reduce((sum, one) => sum + one, 0));
    await systemClock.wait(5);
    running.set(key, 0);
    ended += 1;
    return {};
  }), store, { concurrency: 3 });
  for (let round = 0; round < 10; round += 1) for (const key of ['a', 'b', 'c', 'd', 'e']) { await put(store, key, round); run.wake('things', key); }
  await wait('all is quiet', () => run.quiet && ended > 10);
  equal(most, 3);
  equal(run.statuses().filter((one) => one.lastError !== null).length, 0);
  await run.stop();
});

test('[R2] a change while the key runs is looked at after', async (t) => {
  const { store } = await openTestStore(t);
  await put(store, 'a', 0);
  const seen: unknown[] = [];
  const run = start(controllerOf(store, async (key) => {
    const value = (await store.get(`thing/${key}`))?.value;
    if (value === 0) await put(store, key, 1);
    await systemClock.wait(20);
    seen.push(value);
    return {};
  }), store);
  await wait('the change was seen', () => seen.includes(1));
  await run.stop();
});

test('[R3] a failing key is tried again, its error is told, and forgotten when it works', async (t) => {
  const { store } = await openTestStore(t);
  await put(store, 'a');
  let tries = 0;
  const run = start(controllerOf(store, async () => {
    tries += 1;
    if (tries < 4) throw new StrataError('not yet', { code: 'test.notYet', kind: 'unavailable', advice: 'wait' });
    return Promise.resolve({ waitingOn: [{ kind: 'dependency', subject: 'b', why: 'b is not there' }] });
  }), store);
  await wait('it failed', () => run.statuses()[0]?.lastError?.code === 'test.notYet');
  await wait('it works', () => run.statuses()[0]?.lastError === null && run.statuses()[0]?.failures === 0 && tries === 4);
  deepEqual(run.statuses('things')[0]?.waitingOn.map((one) => one.subject), ['b']);
  equal(run.counts()[0]?.failures, 3);
  await run.stop();
});

test('[R5] stop waits for what runs, tells it by the signal, and names what does not end', async (t) => {
  const { store } = await openTestStore(t);
  await put(store, 'slow');
  let told = false;
  let release = (): void => undefined;
  const run = start(controllerOf(store, async (_key, signal) => {
    signal.addEventListener('abort', () => { told = true; });
    await new Promise<void>((resolve) => { release = resolve; });
    return {};
  }), store);
  await wait('it runs', () => run.statuses()[0]?.running === true);
  await rejects(run.stop(50), (error) => error instanceof StrataError && error.code === 'reconcile.stopTimeout' && error.message.includes('things slow'));
  ok(told);
  release();
  await run.stop();
  throws(() => run.wake('nobody', 'x'), { code: 'reconcile.noController' });
});
