/** Begins an operation, waits for it, and prints what it made: as text, or the whole operation, however it ended. */
import type { Client, Operation } from '#client';
import { awaitOperation } from './await-operation.ts';
import { isText, printAnswer } from './print-list.ts';
import { exitCodes, type Invocation } from './verb.ts';

export interface BegunOperation {
  start(client: Client): Promise<Operation>;
  /** Lines that tell what it made. */
  made(operation: Operation, client: Client): readonly string[] | Promise<readonly string[]>;
  /** As `awaitOperation` has it; default true. */
  readonly cancelOnInterrupt?: boolean;
}

export async function beginOperation({ context, options }: Invocation, { start, made, cancelOnInterrupt = true }: BegunOperation): Promise<number> {
  const client = await context.client();
  const operation = await start(client);
  if (options.flag('detach')) {
    await printAnswer(context.out, operation, [operation.id], options);
    return exitCodes.ok;
  }
  const code = await awaitOperation(client, context, operation, { quiet: options.flag('quiet'), cancelOnInterrupt });
  if (code !== exitCodes.ok && isText(options)) return code;
  const ended = await client.call('getOperation', { params: { operation: operation.id } });
  await printAnswer(context.out, ended, code === exitCodes.ok ? await made(ended, client) : [], options);
  return code;
}
