/** `strata start|stop|restart`: the same call for all three, on all or some services of an app. */
import { beginOperation } from '../begin-operation.ts';
import { requireAppName } from '../choose-app.ts';
import type { Invocation } from '../verb.ts';

export async function changeServices(action: 'start' | 'stop' | 'restart', invocation: Invocation): Promise<number> {
  const { context, args, options } = invocation;
  const client = await context.client();
  const app = await requireAppName(client, context, options);
  const timeoutSeconds = options.count('timeout');
  const body = { services: [...args], ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) };
  return beginOperation(invocation, { start: () => client.call(`${action}App`, { params: { app }, body }), made: () => [], cancelOnInterrupt: false });
}
