/** `strata operation show`: its steps, and with -f until its end. */
import type { Operation } from '#client';
import { awaitOperation } from '../await-operation.ts';
import { inert, problemLines } from '../explain.ts';
import { formatOf, lines, printValue, tableText } from '../print-list.ts';
import { duration } from '../show-progress.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const client = await context.client();
  const operation = await client.call('getOperation', { params: { operation: args[0] as string } });
  const format = formatOf(options);
  if (options.flag('follow')) {
    const code = await awaitOperation(client, context, operation, { quiet: false, cancelOnInterrupt: false });
    // To whoever only looks on the progress was shown; a program wants the end.
    if (['json', 'yaml', 'jsonl'].includes(format)) await printValue(context.out, await client.call('getOperation', { params: { operation: operation.id } }), format);
    return code;
  }
  if (format === 'name') context.out.write(`${operation.id}\n`);
  else if (format === 'table' || format === 'wide') context.out.write(textOf(operation, !options.flag('noHeaders')));
  else await printValue(context.out, operation, format);
  return exitCodes.ok;
}

function textOf(operation: Operation, headed: boolean): string {
  const now = Date.now();
  const head = `${operation.kind} ${operation.subject}: ${operation.status}, ${duration({ startedAt: operation.createdAt, finishedAt: operation.finishedAt }, now)}`;
  const steps = tableText(operation.steps, {
    name: (step) => step.subject,
    columns: [
      { head: 'STATUS', value: (step) => step.status },
      { head: 'TOOK', value: (step) => duration(step, now) },
      { head: 'STEP', value: (step) => `${step.summary}${step.note === '' ? '' : `: ${step.note}`}` },
    ],
  }, { headed });
  const error = operation.error === null ? [] : problemLines(operation.error).map(inert);
  const warnings = operation.warnings.map((one) => inert(`warning: ${one}`));
  return `${inert(head)}\n${operation.steps.length === 0 ? '' : steps}${lines(warnings)}${lines(error)}`;
}
