/** `strata machine snapshot create|ls|restore|rm`, `strata machine clone`, `strata machine fork` */
import type { Operation, Snapshot } from '#client';
import { beginOperation } from '../begin-operation.ts';
import { explain } from '../explain.ts';
import { age, isText, lines, printAnswer, printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export const nameIn = ({ result }: Operation): readonly string[] => { const name = result?.['name']; return [typeof name === 'string' ? name : '']; };

export function createSnapshot(invocation: Invocation): Promise<number> {
  const [machine = '', name] = invocation.args;
  return beginOperation(invocation, { start: (client) => client.call('createSnapshot', { params: { machine }, body: { ...(name === undefined ? {} : { name }), memory: invocation.options.flag('memory') } }), made: nameIn });
}

export function restoreSnapshot(invocation: Invocation): Promise<number> {
  const [machine = '', snapshot = ''] = invocation.args;
  return beginOperation(invocation, { start: (client) => client.call('restoreSnapshot', { params: { machine, snapshot }, body: {} }), made: () => [machine] });
}

export function cloneMachine(invocation: Invocation): Promise<number> {
  const [machine = '', name = ''] = invocation.args;
  const snapshot = invocation.options.text('snapshot');
  const body = { name, full: invocation.options.flag('full'), start: invocation.options.flag('start'), ...(snapshot === undefined ? {} : { snapshot }) };
  return beginOperation(invocation, { start: (client) => client.call('cloneMachine', { params: { machine }, body }), made: nameIn });
}

export function forkMachine(invocation: Invocation): Promise<number> {
  const [machine = '', name = ''] = invocation.args;
  return beginOperation(invocation, { start: (client) => client.call('forkMachine', { params: { machine }, body: { name } }), made: nameIn });
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
export async function removeSnapshots({ context, args, options }: Invocation): Promise<number> {
  const [machine = '', ...snapshots] = args;
  const client = await context.client();
  const items: Snapshot[] = [];
  let code: number = exitCodes.ok;
  for (const snapshot of snapshots) {
    try {
      const removed = await client.call('removeSnapshot', { params: { machine, snapshot } });
      items.push(removed);
      if (isText(options)) context.out.write(`${removed.name}\n`);
    } catch (error) {
      explain(error, context);
      code = exitCodes.failed;
    }
  }
  await printAnswer(context.out, { items }, [], options);
  return code;
}
