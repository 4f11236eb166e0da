/** `strata events`: changes as JSON lines, until Ctrl-C. */
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const client = await context.client();
  for await (const event of client.stream('watchEvents', { query: { since: options.count('since') }, signal: context.interrupted })) {
    context.out.write(`${JSON.stringify(event)}\n`);
  }
  return exitCodes.ok;
}
