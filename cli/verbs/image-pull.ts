/** `strata image pull` */
import { awaitImage } from '../await-image.ts';
import type { Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const client = await context.client();
  const platform = options.text('platform');
  const operation = await client.call('pullImage', { body: { reference: args[0] as string, ...(platform === undefined ? {} : { platform }) } });
  return awaitImage(client, context, operation, options.flag('quiet'));
}
