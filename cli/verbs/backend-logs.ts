/** `strata backend logs` */
import { lines, printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('getBackendLog', { params: { backend: args[0] as string } });
  if (options.text('output') === undefined && !options.flag('json')) context.out.write(lines(items.map(({ at, text }) => `${at} ${text}`)));
  else await printList(context.out, items, { name: (line) => line.text, columns: [{ head: 'TIME', value: (line) => line.at }, { head: 'WHAT', value: (line) => line.text }] }, options);
  return exitCodes.ok;
}
