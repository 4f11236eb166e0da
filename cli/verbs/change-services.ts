/** `strata start|stop|restart`: the same call for all three, on all or some services of an app. */
import { awaitOperation } from '../await-operation.ts';
import { requireAppName } from '../choose-app.ts';
import type { Invocation } from '../verb.ts';

export async function changeServices(action: 'start' | 'stop' | 'restart', { context, args, options }: Invocation): Promise<number> {
  const client = await context.client();
  const app = await requireAppName(client, context, options);
  const timeoutSeconds = options.count('timeout');
  const operation = await client.call(`${action}App`, { params: { app }, body: { services: [...args], ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) } });
  return awaitOperation(client, context, operation, { quiet: options.flag('quiet'), cancelOnInterrupt: false });
}
