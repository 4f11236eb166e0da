/** `strata host inspect`: of this host where none is named. */
import { hostname } from 'node:os';
import type { Invocation } from '../verb.ts';
import { inspect } from './inspect.ts';

export async function run(invocation: Invocation): Promise<number> {
  const args = invocation.args.length === 0 ? [hostname()] : invocation.args;
  return inspect('getHost', 'host')({ ...invocation, args });
}
