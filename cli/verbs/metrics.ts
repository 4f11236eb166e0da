/** `strata metrics`: hosts, machines, pool, services and the daemon as numbers. */
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context }: Invocation): Promise<number> {
  context.out.write(await (await context.client()).call('getMetrics'));
  return exitCodes.ok;
}
