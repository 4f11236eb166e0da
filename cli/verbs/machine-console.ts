/** `strata machine console`: the serial console; Ctrl-] leaves. */
import { ownSize, runTerminal } from '../run-terminal.ts';
import type { Invocation } from '../verb.ts';

export async function run({ context, args }: Invocation): Promise<number> {
  const machine = args[0] as string;
  const client = await context.client();
  const tty = process.stdin.isTTY === true;
  if (tty) context.say(`console of ${machine}; Ctrl-] leaves`);
  const terminal = await client.terminal('openMachineConsole', machine, {});
  if (tty) terminal.resize(ownSize());
  return runTerminal(terminal, { tty, escape: true, interrupted: context.interrupted });
}
