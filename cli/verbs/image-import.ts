/** `strata image import` */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { beginOperation } from '../begin-operation.ts';
import { UsageError, type Invocation } from '../verb.ts';
import { digestsIn } from './image-pull.ts';

export function run(invocation: Invocation): Promise<number> {
  const { context, args } = invocation;
  // An OCI layout is a folder; the working folder, which an empty name would mean, is none that was named.
  if (args[0] === '') throw new UsageError('which archive or OCI layout?');
  const path = resolve(context.cwd, args[0] as string);
  if (!existsSync(path)) throw new UsageError(`there is no file ${path}`);
  const body = { path, ...(args[1] === undefined ? {} : { reference: args[1] }) };
  return beginOperation(invocation, { start: (client) => client.call('importImage', { body }), made: digestsIn });
}
