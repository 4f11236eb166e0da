/** `strata image import` */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { awaitImage } from '../await-image.ts';
import { UsageError, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  // An OCI layout is a folder; the working folder, which an empty name would mean, is none that was named.
  if (args[0] === '') throw new UsageError('which archive or OCI layout?');
  const path = resolve(context.cwd, args[0] as string);
  if (!existsSync(path)) throw new UsageError(`there is no file ${path}`);
  const client = await context.client();
  const operation = await client.call('importImage', { body: { path, ...(args[1] === undefined ? {} : { reference: args[1] }) } });
  return awaitImage(client, context, operation, options.flag('quiet'));
}
