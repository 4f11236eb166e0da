/** `strata machine exec`: runs a command in the guest itself. */
import { execRequest, usesTty } from '../exec-request.ts';
import { runTerminal } from '../run-terminal.ts';
import type { Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const [machine, ...command] = args;
  const request = execRequest(command[0] === '--' ? command.slice(1) : command, options);
  const client = await context.client();
  const terminal = await client.terminal('execInMachine', machine as string, request);
  return runTerminal(terminal, { tty: usesTty(options), escape: false, interrupted: context.interrupted });
}
