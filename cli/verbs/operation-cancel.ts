/** `strata operation cancel` */
import { printAnswer } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const operation = await (await context.client()).call('cancelOperation', { params: { operation: args[0] as string } });
  context.say(`${operation.id}: ${operation.status}`);
  await printAnswer(context.out, operation, [], options);
  return exitCodes.ok;
}
