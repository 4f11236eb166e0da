/** `strata machine logs`: the last of what the serial console printed. */
import { tame } from './logs.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const client = await context.client();
  const query = { follow: options.flag('follow') || undefined, tail: options.count('tail') };
  let printed = false;
  for await (const line of client.stream('getMachineLogs', { params: { machine: args[0] as string }, query, signal: context.interrupted })) {
    printed = true;
    context.out.write(`${context.out.isTTY ? tame(line.text, false) : line.text}\n`);
  }
  if (!printed && !context.interrupted.aborted && query.tail !== 0) {
    const { phase } = await client.call('getMachine', { params: { machine: args[0] as string } });
    const why = ['running', 'paused', 'stopping'].includes(phase) ? 'it has printed nothing since it was started' : 'it has not run since the host started, or printed nothing';
    context.say(`strata: nothing is kept of what the console of ${args[0]} printed: ${why}`);
  }
  return exitCodes.ok;
}
