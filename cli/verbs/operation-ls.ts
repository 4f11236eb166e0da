/** `strata operation ls` */
import { age, printList } from '../print-list.ts';
import { duration } from '../show-progress.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listOperations', { query: { limit: options.count('limit') ?? 20 } });
  const now = Date.now();
  await printList(context.out, items, {
    name: (operation) => operation.id,
    columns: [
      { head: 'ID', value: (operation) => operation.id },
      { head: 'KIND', value: (operation) => operation.kind },
      { head: 'SUBJECT', value: (operation) => operation.subject },
      { head: 'STATUS', value: (operation) => operation.status },
      { head: 'STEPS', value: (operation) => `${operation.steps.filter((step) => step.status === 'done' || step.status === 'skipped').length}/${operation.steps.length}` },
      { head: 'TOOK', value: (operation) => duration({ startedAt: operation.createdAt, finishedAt: operation.finishedAt }, now) },
      { head: 'AGE', value: (operation) => age(operation.createdAt, now) },
      { head: 'ERROR', wide: true, value: (operation) => operation.error?.detail ?? '' },
    ],
  }, options);
  return exitCodes.ok;
}
