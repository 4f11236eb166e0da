/** `strata disk snapshot create|ls|restore|rm`, `strata disk clone`, `strata disk copy` */
import { beginOperation } from '../begin-operation.ts';
import { filePath } from '../file-path.ts';
import type { Invocation } from '../verb.ts';
import { nameIn, printSnapshots } from './machine-copies.ts';
import { architectures } from './machine-create.ts';

const named = ([machine = '', disk = '']: readonly string[]) => ({ machine, disk });

export function createSnapshot(invocation: Invocation): Promise<number> {
  const name = invocation.args[2];
  return beginOperation(invocation, { start: (client) => client.call('createDiskSnapshot', { params: named(invocation.args), body: name === undefined ? {} : { name } }), made: nameIn });
}

export async function listSnapshots({ context, args, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listDiskSnapshots', { params: named(args) });
  return printSnapshots(context, items, options);
}

export function restoreSnapshot(invocation: Invocation): Promise<number> {
  const snapshot = invocation.args[2] ?? '';
  return beginOperation(invocation, { start: (client) => client.call('restoreDiskSnapshot', { params: { ...named(invocation.args), snapshot }, body: {} }), made: () => [snapshot] });
}

export function removeSnapshot(invocation: Invocation): Promise<number> {
  const snapshot = invocation.args[2] ?? '';
  return beginOperation(invocation, { start: (client) => client.call('removeDiskSnapshot', { params: { ...named(invocation.args), snapshot } }), made: nameIn });
}

export function copyDisk(invocation: Invocation): Promise<number> {
  const path = filePath('a copy', invocation.args[2] ?? '', invocation.context.cwd);
  const snapshot = invocation.options.text('snapshot');
  return beginOperation(invocation, { start: (client) => client.call('copyDisk', { params: named(invocation.args), body: { path, ...(snapshot === undefined ? {} : { snapshot }) } }), made: () => [path] });
}

export function cloneDisk(invocation: Invocation): Promise<number> {
  const { args, options } = invocation;
  const [snapshot, engine, backend, architecture] = [options.text('snapshot'), options.text('engine'), options.text('backend'), architectures[options.text('arch') ?? '']];
  const body = {
    name: args[2] ?? '', full: options.flag('full'), start: options.flag('start'),
    ...(snapshot === undefined ? {} : { snapshot }), ...(architecture === undefined ? {} : { architecture }),
    ...(engine === undefined ? {} : { engine: engine as 'auto' }), ...(backend === undefined ? {} : { backend: backend as 'vmm' }),
  };
  return beginOperation(invocation, { start: (client) => client.call('cloneDisk', { params: named(args), body }), made: nameIn });
}
