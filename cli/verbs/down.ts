/** `strata down`: takes an app down; fine where it is down already. */
import { beginOperation } from '../begin-operation.ts';
import { isNotFound, requireAppName, splitFolder } from '../choose-app.ts';
import { UsageError, exitCodes, type Invocation } from '../verb.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { context, args, options } = invocation;
  const { folder, rest } = splitFolder(args, context.cwd);
  if (rest.length > 0) throw new UsageError(`down takes the whole app down, not ${rest.join(' ')}`, 'use `strata stop` for single services, or -p to name the app');
  const client = await context.client();
  const app = await requireAppName(client, context, options, folder);
  const query = { volumes: options.flag('volumes') || undefined, timeout: options.count('timeout') };
  try {
    return await beginOperation(invocation, { start: () => client.call('removeApp', { params: { app }, query }), made: () => [], cancelOnInterrupt: false });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    context.say(`strata: ${app} is not up`);
    return exitCodes.ok;
  }
}
