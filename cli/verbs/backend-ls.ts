/** `strata backend ls` */
import { printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listBackends');
  await printList(context.out, items, {
    name: (backend) => backend.name,
    columns: [
      { head: 'NAME', value: (backend) => backend.name },
      { head: 'MACHINE', value: (backend) => backend.machine },
      { head: 'DISK', value: (backend) => backend.disk },
      { head: 'KIND', value: (backend) => backend.kind },
      { head: 'ENGINE', value: (backend) => backend.engine ?? '' },
      { head: 'STATUS', value: (backend) => backend.phase },
      { head: 'PID', value: (backend) => (backend.pid === null ? '' : String(backend.pid)) },
      { head: 'RESTARTS', value: (backend) => String(backend.restarts) },
      { head: 'WHY', value: (backend) => backend.why, atMost: 60 },
      { head: 'PATH', wide: true, value: (backend) => backend.path },
      { head: 'ID', wide: true, value: (backend) => backend.id },
    ],
  }, options);
  return exitCodes.ok;
}
