/** `strata backend restart` */
import { printAnswer } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const backend = await (await context.client()).call('restartBackend', { params: { backend: args[0] as string }, body: { force: options.flag('force') } });
  await printAnswer(context.out, backend, [backend.name], options);
  return exitCodes.ok;
}
