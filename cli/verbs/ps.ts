/** `strata ps`: containers of the app at hand, or of all apps where no app is at hand. */
import { ClientProblem, type Client, type Container } from '#client';
import { findAppName, findCompose, isNotFound } from '../choose-app.ts';
import { age, lines, printList, type ListForm } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const client = await context.client();
  const app = options.flag('all') && options.text('projectName') === undefined ? undefined : await findAppName(client, context, options);
  const { items } = app === undefined
    ? await client.call('listContainers')
    : await client.call('listAppContainers', { params: { app } }).catch((error: unknown) => {
      // Where no name was given, an app that is not up simply has no containers.
      if (isNotFound(error) && options.text('projectName') === undefined) return { items: [] };
      throw error;
    });
  const without = args.filter((name) => !items.some((one) => one.service === name));
  if (without.length > 0) await checkServices(client, { context, args: without, options }, app);
  const shown = items.filter((one) => (args.length === 0 || args.includes(one.service)) && (options.flag('all') || one.phase !== 'exited'));
  if (options.flag('quiet')) context.out.write(lines(shown.map((one) => one.id)));
  else await printList(context.out, shown, form(Date.now()), options);
  if (shown.length === 0 && items.length > 0 && args.length === 0 && context.out.isTTY) context.say(`${items.length} ended container${items.length === 1 ? ' is' : 's are'} not shown; \`strata ps -a\` shows all`);
  return exitCodes.ok;
}

/** A service without a container is fine; a name that is no service at all is a slip. @throws ClientProblem as `strata logs` gets it */
async function checkServices(client: Client, { context, args, options }: Invocation, app: string | undefined): Promise<void> {
  const known = app === undefined
    ? (await client.call('listApps')).items.flatMap((one) => one.services.map(({ name }) => name))
    : await client.call('getApp', { params: { app } }).then((one) => one.services.map(({ name }) => name), async (error: unknown) => {
      const source = isNotFound(error) ? findCompose(context, options) : undefined;
      if (source === undefined) throw error;
      // Not up; its file knows what it will have.
      return (await client.call('resolveApp', { body: source })).services;
    });
  const unknown = args.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new ClientProblem({
    code: 'service.notFound', status: 404, detail: `${app === undefined ? 'no app has a' : `the app ${app} has no`} service ${unknown}`,
    advice: app === undefined ? 'see `strata app ls`' : `it has: ${known.join(', ')}`,
  });
}

const form = (now: number): ListForm<Container> => ({
  name: (one) => one.name,
  columns: [
    { head: 'NAME', value: (one) => one.name },
    { head: 'SERVICE', value: (one) => one.service },
    { head: 'STATUS', atMost: 40, value: (one) => statusOf(one, now) },
    { head: 'ADDRESS', value: (one) => one.address ?? '' },
    { head: 'ARCH', value: (one) => one.architecture },
    { head: 'MACHINE', value: (one) => one.machine },
    { head: 'ID', wide: true, value: (one) => one.id },
    { head: 'IMAGE', wide: true, value: (one) => one.image },
    { head: 'ENGINE', wide: true, value: (one) => one.engine ?? '' },
    { head: 'ISOLATION', wide: true, value: (one) => one.isolation ?? '' },
    { head: 'STARTED BY', wide: true, value: (one) => (one.startedBy === null ? '' : `${one.startedBy.way}${one.startedBy.why === '' ? '' : `: ${one.startedBy.why}`}`) },
    { head: 'RESTARTS', wide: true, value: (one) => String(one.restarts) },
    { head: 'PORTS', value: (one) => one.ports.join(', ') },
  ],
});

/** `running 3m (healthy)`, `exited 137 (out of memory)`, `waiting: image is missing`. */
function statusOf(one: Container, now: number): string {
  const since = one.phase === 'running' ? ` ${age(one.startedAt, now)}` : '';
  const ended = one.phase === 'exited' || one.phase === 'waiting' ? ` ${one.exitCode ?? ''}` : '';
  const health = one.phase === 'running' && one.health !== 'none' ? ` (${one.health})` : '';
  const memory = one.oomKilled ? ' (out of memory)' : '';
  // What the words before say already is not said again.
  const why = one.why.replace(/^its health check fails: /, '').replace(/^it ended with exit code -?\d+(; )?/, '');
  return `${one.phase}${since}${ended}${health}${memory}${why === '' ? '' : `: ${why}`}`;
}
