/** `strata machine logs`: the last of what the serial console printed. */
import { tame } from './logs.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const client = await context.client();
  const query = { follow: options.flag('follow') || undefined, tail: options.count('tail') };
  for await (const line of client.stream('getMachineLogs', { params: { machine: args[0] as string }, query, signal: context.interrupted })) {
    context.out.write(`${context.out.isTTY ? tame(line.text, false) : line.text}\n`);
  }
  return exitCodes.ok;
}
