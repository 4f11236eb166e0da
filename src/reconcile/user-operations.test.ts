/** Operations people start, across failures, cancels and restarts of the daemon, over a real store. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { seededDice, silentLog, StrataError, systemClock, systemDice, waitUntil, type Clock } from '#base';
import { recordsOf, type Store } from '#store';
import { openGenerationGuard } from './generation-guard.ts';
import { openTestStore } from './testing/open-test-store.ts';
import { openUserOperations, type OpenUserOperations } from './user-operations.ts';
import { userOperationSchema, type UserOperation } from './user-operation.ts';

const open = (store: Store, options: Partial<OpenUserOperations> = {}) => openUserOperations({ store, clock: systemClock, dice: systemDice, log: silentLog, ...options });
const never = new AbortController().signal;
const forever = (run: { readonly signal: AbortSignal }) => new Promise<void>((_resolve, reject) => { run.signal.addEventListener('abort', () => reject(run.signal.reason as Error)); });

/** As a daemon leaves it that was killed. */
async function leaveRunning(store: Store, change: Partial<UserOperation> = {}): Promise<void> {
  await recordsOf(store, 'operation', userOperationSchema).put('oaaaaaaaaaa', {
    id: 'oaaaaaaaaaa', kind: 'app.up', subject: 'shop', status: 'running', progress: 0.5, result: null, error: null, warnings: [], input: { file: 'x' }, attempts: 1, createdAt: 1, endedAt: null,
    steps: [{ name: 'pull', status: 'succeeded', startedAt: 1, endedAt: 2, message: '' }, { name: 'start', status: 'running', startedAt: 2, endedAt: null, message: '' }], ...change,
  });
}

test('[R8] a good one has its steps, progress and result; it can be followed to its end', async (t) => {
  const { store } = await openTestStore(t);
  const operations = open(store);
  const started = await operations.start('image.pull', 'web', async (run) => {
    await run.step('fetch', async (say) => { say('layer 1 of 2'); await systemClock.wait(1); });
    run.progress(0.5);
    run.warn('the image is old');
    return { digest: 'x' };
  });
  equal(started.status, 'running');
  const states: string[] = [];
  for await (const one of operations.follow(started.id, never)) states.push(one.status);
  equal(states.at(-1), 'succeeded');
  const end = await operations.get(started.id);
  deepEqual([end.progress, end.result, end.warnings, end.steps.map((one) => [one.name, one.status])], [1, { digest: 'x' }, ['the image is old'], [['fetch', 'succeeded']]]);
  ok(end.endedAt !== null && (await operations.list({ subject: 'web' })).length === 1 && (await operations.list({ subject: 'other' })).length === 0);
  await rejects(operations.get('onothing'), { code: 'operation.notFound' });
});

test('[R8] a failed one keeps code, place and advice, and its step is the one that failed', async (t) => {
  const { store } = await openTestStore(t);
  const operations = open(store);
  const { id } = await operations.start('app.up', 'shop', (run) => run.step('read', () => Promise.reject(new StrataError('wrong', { code: 'compose.unknownKey', kind: 'invalid', advice: 'remove it', place: { file: 'compose.yaml', line: 3, column: 5 } }))));
  const end = await operations.wait(id, never);
  deepEqual([end.status, end.error?.code, end.error?.advice, end.error?.place?.line, end.steps[0]?.status], ['failed', 'compose.unknownKey', 'remove it', 3, 'failed']);
});

test('[R9] what a killed daemon left is interrupted, with its running steps, and stays so', async (t) => {
  const opened = await openTestStore(t);
  await leaveRunning(opened.store);
  const operations = open(await opened.reopen());
  equal(await operations.recover(), 1);
  const end = await operations.get('oaaaaaaaaaa');
  deepEqual([end.status, end.error?.code, end.steps.map((one) => one.status)], ['failed', 'operation.interrupted', ['succeeded', 'cancelled']]);
  equal(await open(await opened.reopen()).recover(), 0);
});

test('[R9] what may be run again is, from its input, at most three times', async (t) => {
  const opened = await openTestStore(t);
  await leaveRunning(opened.store);
  const inputs: unknown[] = [];
  const reruns = { 'app.up': (input: unknown) => async () => { inputs.push(input); await Promise.resolve(); } };
  const operations = open(await opened.reopen(), { reruns });
  await operations.recover();
  const end = await operations.wait('oaaaaaaaaaa', never);
  deepEqual([end.status, end.attempts, inputs, end.warnings.length], ['succeeded', 2, [{ file: 'x' }], 1]);
  await leaveRunning(opened.store, { attempts: 3 });
  await operations.recover();
  deepEqual([(await operations.get('oaaaaaaaaaa')).error?.code, inputs.length], ['operation.interrupted', 1]);
});

test('[R9] one that was being cancelled is cancelled, not begun again', async (t) => {
  const { store } = await openTestStore(t);
  await leaveRunning(store, { status: 'cancelling' });
  const operations = open(store, { reruns: { 'app.up': () => () => Promise.reject(new Error('must not run')) } });
  await operations.recover();
  equal((await operations.get('oaaaaaaaaaa')).status, 'cancelled');
});

test('[R10] cancel ends it; a later cancel changes nothing; an exclusive second is refused while it runs', async (t) => {
  const { store } = await openTestStore(t);
  const operations = open(store);
  const [first, second] = await Promise.allSettled([operations.start('app.up', 'shop', forever, { exclusive: true }), operations.start('app.down', 'shop', forever, { exclusive: true })]);
  equal(first.status, 'fulfilled');
  equal((second as PromiseRejectedResult).reason.code, 'operation.busy');
  const { id } = (first as PromiseFulfilledResult<UserOperation>).value;
  await operations.cancel(id);
  const end = await operations.wait(id, never);
  deepEqual([end.status, end.error?.code], ['cancelled', 'operation.cancelled']);
  deepEqual(await operations.cancel(id), end);
  await operations.start('app.down', 'shop', () => Promise.resolve(), { exclusive: true });
  await operations.stop();
});

test('[R9] an orderly stop interrupts what runs, and says so', async (t) => {
  const { store } = await openTestStore(t);
  const operations = open(store);
  const { id } = await operations.start('app.up', 'shop', forever);
  await operations.stop();
  deepEqual([(await operations.get(id)).status, (await operations.get(id)).error?.code], ['failed', 'operation.interrupted']);
});

test('[R12] ended operations go by number and by age', async (t) => {
  const { store } = await openTestStore(t);
  let now = 1_000_000;
  const clock: Clock = { ...systemClock, now: () => now };
  const operations = open(store, { keep: 3, keepMs: 1000, clock, dice: seededDice(4) });
  for (let index = 0; index < 6; index += 1) await operations.wait((await operations.start('image.pull', `i${index}`, () => Promise.resolve())).id, never);
  await waitUntil(async () => (await operations.list()).length === 3, { what: 'three are kept', limitMs: 5000 });
  deepEqual((await operations.list()).map((one) => one.subject), ['i5', 'i4', 'i3']);
  now += 5000;
  await operations.recover();
  equal((await operations.list()).length, 0);
});

test('[R11] an older generation is refused, by a later daemon too; forgotten subjects begin anew', async (t) => {
  const opened = await openTestStore(t);
  const guard = openGenerationGuard(opened.store);
  await guard.admit('machine/a', 2);
  await guard.admit('machine/a', 2);
  await guard.admit('machine/b', 1);
  await rejects(guard.admit('machine/a', 1), { code: 'reconcile.staleGeneration' });
  const later = openGenerationGuard(await opened.reopen());
  await rejects(later.admit('machine/a', 1), { code: 'reconcile.staleGeneration', kind: 'conflict' });
  await later.forget('machine/a');
  await later.admit('machine/a', 1);
});
