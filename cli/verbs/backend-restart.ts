/** `strata backend restart` */
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const backend = await (await context.client()).call('restartBackend', { params: { backend: args[0] as string }, body: { force: options.flag('force') } });
  context.out.write(`${backend.name}\n`);
  return exitCodes.ok;
}
