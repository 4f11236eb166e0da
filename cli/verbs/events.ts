/** `strata events`: changes as JSON lines, until Ctrl-C. A daemon that ends is not started again for who only watches. */
import { ClientProblem } from '#client';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const client = await context.client();
  let last = options.count('since');
  try {
    for await (const event of client.stream('watchEvents', { query: { since: last }, signal: context.interrupted })) {
      last = event.revision;
      context.out.write(`${JSON.stringify(event)}\n`);
    }
  } catch (error) {
    if (!(error instanceof ClientProblem) || !['client.unreachable', 'api.closing'].includes(error.code)) throw error;
    throw new ClientProblem({ code: 'client.daemonEnded', detail: 'the daemon has ended; what happens from now on is not seen', advice: `go on with \`strata events${last === undefined ? '' : ` --since ${last}`}\`, which starts it again` }, error);
  }
  return exitCodes.ok;
}
