/** Plans against a small world: fail before and after each step, fail an undo, abort between steps. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { armFailpoints, StrataError } from '#base';
import type { Operation } from './operation.ts';
import { performPlan, type PlanProgress } from './perform-plan.ts';

const operations: readonly Operation[] = ['tap', 'disk', 'start'].map((kind) => ({ kind: `make.${kind}`, subject: `machine/${kind}`, summary: `make the ${kind}` }));
afterEach(() => armFailpoints(''));

/** A world of things that are there; each operation adds one, its undo takes it away. Both may run twice. */
function world() {
  const things = new Set<string>();
  const told: string[] = [];
  const brokenUndo = new Set<string>();
  const performer = {
    async perform(operation: Operation) { await Promise.resolve(); things.add(operation.kind); },
    async undo(operation: Operation) {
      await Promise.resolve();
      if (brokenUndo.has(operation.kind)) throw new Error('stuck');
      things.delete(operation.kind);
    },
  };
  const performers = Object.fromEntries(operations.map(({ kind }) => [kind, performer]));
  const run = (signal = new AbortController().signal) => performPlan({ operations, performers, signal, onProgress: ({ operation, state }: PlanProgress<Operation>) => { told.push(`${operation.kind} ${state}`); } });
  return { things, told, brokenUndo, performers, run };
}

test('[R6] without a failure all is done in order, and doing it again changes nothing', async () => {
  const { things, told, run } = world();
  await run();
  await run();
  deepEqual([...things], ['make.tap', 'make.disk', 'make.start']);
  deepEqual(told.slice(0, 6), operations.flatMap(({ kind }) => [`${kind} running`, `${kind} done`]));
});

for (const [index, { kind }] of operations.entries()) {
  for (const side of ['before', 'after'] as const) {
    test(`[R6] a failure ${side} ${kind} leaves nothing, and the next run completes`, async () => {
      const { things, told, run } = world();
      armFailpoints(`${kind}.${side}=1*error`);
      await rejects(run(), { code: 'base.failpoint' });
      deepEqual([...things], []);
      deepEqual(told.filter((line) => line.endsWith('undone')), operations.slice(0, index + 1).toReversed().map((one) => `${one.kind} undone`));
      await run();
      equal(things.size, operations.length);
    });
  }
}

test('[R6] what cannot be undone is named, the rest is undone, and the first failure is the cause', async () => {
  const { things, brokenUndo, run } = world();
  brokenUndo.add('make.disk');
  armFailpoints('make.start.after=error');
  await rejects(run(), (error) => error instanceof StrataError && error.code === 'reconcile.undoFailed' && /machine\/disk: .*stuck/.test(error.message) && (error.cause as StrataError).code === 'base.failpoint');
  deepEqual([...things], ['make.disk']);
});

test('[R7] nothing begins without a performer for each step, or when aborted before', async () => {
  const { things, told, performers, run } = world();
  await rejects(performPlan({ operations: [...operations, { kind: 'unknown', subject: 'x', summary: 'x' }], performers, signal: new AbortController().signal }), { code: 'reconcile.noPerformer' });
  await rejects(run(AbortSignal.abort(new StrataError('stop', { code: 'test.stop', kind: 'unavailable' }))), { code: 'test.stop' });
  deepEqual([[...things], told.filter((line) => line.endsWith('running'))], [[], []]);
});

test('[R6] an abort between two steps undoes what was done', async () => {
  const { things, performers } = world();
  const end = new AbortController();
  await rejects(performPlan({ operations, performers, signal: end.signal, onProgress: ({ operation, state }) => { if (operation.kind === 'make.disk' && state === 'done') end.abort(new StrataError('stop', { code: 'test.stop', kind: 'unavailable' })); } }), { code: 'test.stop' });
  deepEqual([...things], []);
});
