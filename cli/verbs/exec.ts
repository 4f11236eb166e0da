/** `strata exec`: runs a command in a replica of a service. */
import type { Container } from '#client';
import { requireAppName } from '../choose-app.ts';
import { execRequest, usesTty } from '../exec-request.ts';
import { runTerminal } from '../run-terminal.ts';
import { UsageError, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const [service, ...command] = args;
  const argv = command[0] === '--' ? command.slice(1) : command;
  const request = execRequest(argv, options);
  const index = options.count('index');
  const client = await context.client();
  const app = await requireAppName(client, context, options);
  const { items } = await client.call('listAppContainers', { params: { app } });
  const container = choose(items.filter((one) => one.service === service), service as string, app, index);
  const terminal = await client.terminal('execInContainer', container.id, request);
  return runTerminal(terminal, { tty: usesTty(options), escape: false, interrupted: context.interrupted });
}

/** The replica asked for, else the first that runs. */
function choose(replicas: readonly Container[], service: string, app: string, index: number | undefined): Container {
  const found = index === undefined ? replicas.find((one) => one.phase === 'running') ?? replicas[0] : replicas.find((one) => one.index === index);
  if (found !== undefined) return found;
  if (replicas.length === 0) throw new UsageError(`the app ${app} has no container of a service ${service}`, '`strata ps` lists what there is');
  throw new UsageError(`the service ${service} has no replica ${index}; it has ${replicas.map((one) => one.index).join(', ')}`);
}
