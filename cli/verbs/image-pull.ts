/** `strata image pull` */
import type { Operation } from '#client';
import { beginOperation } from '../begin-operation.ts';
import type { Invocation } from '../verb.ts';

export function run(invocation: Invocation): Promise<number> {
  const platform = invocation.options.text('platform');
  const body = { reference: invocation.args[0] as string, ...(platform === undefined ? {} : { platform }) };
  return beginOperation(invocation, { start: (client) => client.call('pullImage', { body }), made: digestsIn });
}

/** Of the images that came. */
export function digestsIn({ result }: Operation): readonly string[] {
  const digests = result?.['digests'];
  return Array.isArray(digests) ? digests.map(String) : [];
}
