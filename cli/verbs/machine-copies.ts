/** `strata machine snapshot create|ls|restore|rm`, `strata machine clone`, `strata machine fork` */
import type { Client, Operation, Snapshot } from '#client';
import { awaitOperation } from '../await-operation.ts';
import { explain } from '../explain.ts';
import { age, lines, printList, printValue } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

/** Begins an operation, and says what it made once it has ended. */
export async function begin({ context, options }: Invocation, start: (client: Client) => Promise<Operation>, made: (operation: Operation) => string): Promise<number> {
  const client = await context.client();
  const operation = await start(client);
  const format = options.text('output');
  const print = async (one: Operation, text: string): Promise<void> => { if (format === undefined || format === 'text') context.out.write(`${text}\n`); else await printValue(context.out, one, format); };
  if (options.flag('detach')) {
    await print(operation, operation.id);
    return exitCodes.ok;
  }
  const code = await awaitOperation(client, context, operation, { quiet: options.flag('quiet'), cancelOnInterrupt: true });
  if (code === exitCodes.ok || (format ?? 'text') !== 'text') {
    const ended = await client.call('getOperation', { params: { operation: operation.id } });
    await print(ended, made(ended));
  }
  return code;
}

export const nameIn = ({ result }: Operation): string => { const name = result?.['name']; return typeof name === 'string' ? name : ''; };

export function createSnapshot(invocation: Invocation): Promise<number> {
  const [machine = '', name] = invocation.args;
  return begin(invocation, (client) => client.call('createSnapshot', { params: { machine }, body: { ...(name === undefined ? {} : { name }), memory: invocation.options.flag('memory') } }), nameIn);
}

export function restoreSnapshot(invocation: Invocation): Promise<number> {
  const [machine = '', snapshot = ''] = invocation.args;
  return begin(invocation, (client) => client.call('restoreSnapshot', { params: { machine, snapshot }, body: {} }), () => machine);
}

export function cloneMachine(invocation: Invocation): Promise<number> {
  const [machine = '', name = ''] = invocation.args;
  const snapshot = invocation.options.text('snapshot');
  const body = { name, full: invocation.options.flag('full'), start: invocation.options.flag('start'), ...(snapshot === undefined ? {} : { snapshot }) };
  return begin(invocation, (client) => client.call('cloneMachine', { params: { machine }, body }), nameIn);
}

export function forkMachine(invocation: Invocation): Promise<number> {
  const [machine = '', name = ''] = invocation.args;
  return begin(invocation, (client) => client.call('forkMachine', { params: { machine }, body: { name } }), nameIn);
}

export async function listSnapshots({ context, args, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listSnapshots', { params: { machine: args[0] as string } });
  return printSnapshots(context, items, options);
}

export async function printSnapshots(context: Invocation['context'], items: readonly Snapshot[], options: Invocation['options']): Promise<number> {
  if (options.flag('quiet')) { context.out.write(lines(items.map((snapshot) => snapshot.name))); return exitCodes.ok; }
  const now = Date.now();
  await printList(context.out, items, {
    name: (snapshot) => snapshot.name,
    columns: [
      { head: 'NAME', value: (snapshot) => snapshot.name },
      { head: 'AGE', value: (snapshot) => age(snapshot.createdAt, now) },
      { head: 'MEMORY', value: (snapshot) => (snapshot.memory ? 'yes' : 'no') },
      { head: 'DISKS', value: (snapshot) => snapshot.disks.join(', ') },
      { head: 'ID', wide: true, value: (snapshot) => snapshot.id },
    ],
  }, options);
  return exitCodes.ok;
}

/** Tries all, says what failed. */
export async function removeSnapshots({ context, args }: Invocation): Promise<number> {
  const [machine = '', ...snapshots] = args;
  const client = await context.client();
  let code: number = exitCodes.ok;
  for (const snapshot of snapshots) {
    try {
      const removed = await client.call('removeSnapshot', { params: { machine, snapshot } });
      context.out.write(`${removed.name}\n`);
    } catch (error) {
      explain(error, context);
      code = exitCodes.failed;
    }
  }
  return code;
}
