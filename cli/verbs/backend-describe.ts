/** `strata backend describe`: the table of what it can and cannot do, with the reasons. */
import { printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const { abilities } = await (await context.client()).call('getBackend', { params: { backend: args[0] as string } });
  await printList(context.out, abilities, {
    name: (ability) => ability.name,
    columns: [
      { head: 'WHAT', value: (ability) => ability.name },
      { head: 'ABLE', value: (ability) => (ability.able ? 'yes' : 'no') },
      { head: 'WHY', value: (ability) => ability.why },
    ],
  }, options);
  return exitCodes.ok;
}
