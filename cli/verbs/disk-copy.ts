/** `strata disk copy` */
import { resolve } from 'node:path';
import { awaitOperation } from '../await-operation.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const [machine, disk, file] = args as [string, string, string];
  const path = resolve(context.cwd, file);
  const client = await context.client();
  const operation = await client.call('copyDisk', { params: { machine, disk }, body: { path } });
  const code = await awaitOperation(client, context, operation, { quiet: options.flag('quiet'), cancelOnInterrupt: true });
  if (code === exitCodes.ok) context.out.write(`${path}\n`);
  return code;
}
