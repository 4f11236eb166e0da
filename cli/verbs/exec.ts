/** `strata exec`: runs a command in a replica of a service. */
import { ClientProblem, type Client, type Container } from '#client';
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
  const replicas = items.filter((one) => one.service === service);
  if (replicas.length === 0) throw await nothingOf(client, app, service as string);
  const container = choose(replicas, service as string, index);
  const terminal = await client.terminal('execInContainer', container.id, request);
  return runTerminal(terminal, { tty: usesTty(options), escape: false, interrupted: context.interrupted });
}

/** The replica asked for, else the first that runs. */
function choose(replicas: readonly Container[], service: string, index: number | undefined): Container {
  const found = index === undefined ? replicas.find((one) => one.phase === 'running') ?? replicas[0] : replicas.find((one) => one.index === index);
  if (found !== undefined) return found;
  throw new UsageError(`the service ${service} has no replica ${index}; it has ${replicas.map((one) => one.index).join(', ')}`);
}

async function nothingOf(client: Client, app: string, service: string): Promise<Error> {
  const names = (await client.call('getApp', { params: { app } })).services.map((one) => one.name);
  if (names.includes(service)) return new ClientProblem({ code: 'service.noContainer', status: 409, detail: `the service ${service} of the app ${app} has no container now`, advice: `see \`strata ps -p ${app}\`` });
  return new UsageError(`the app ${app} has no service ${service}`, `it has: ${names.join(', ')}`);
}
