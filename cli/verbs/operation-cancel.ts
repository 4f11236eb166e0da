/** `strata operation cancel` */
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args }: Invocation): Promise<number> {
  const operation = await (await context.client()).call('cancelOperation', { params: { operation: args[0] as string } });
  context.say(`${operation.id}: ${operation.status}`);
  return exitCodes.ok;
}
