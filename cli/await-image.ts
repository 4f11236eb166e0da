/** Waits for an import or a pull and prints the digests on stdout. */
import type { Client } from '#client';
import type { Operation } from '#client';
import { awaitOperation } from './await-operation.ts';
import type { Context } from './context.ts';
import { lines } from './print-list.ts';
import { exitCodes } from './verb.ts';

export async function awaitImage(client: Client, context: Context, operation: Operation, quiet: boolean): Promise<number> {
  const code = await awaitOperation(client, context, operation, { quiet, cancelOnInterrupt: true });
  if (code !== exitCodes.ok) return code;
  const { result } = await client.call('getOperation', { params: { operation: operation.id } });
  const digests = result?.['digests'];
  if (Array.isArray(digests)) context.out.write(lines(digests.map(String)));
  return exitCodes.ok;
}
