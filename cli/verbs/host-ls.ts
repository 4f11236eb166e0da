/** `strata host ls` */
import { bytes, printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listHosts');
  await printList(context.out, items, {
    name: (host) => host.name,
    columns: [
      { head: 'NAME', value: (host) => host.name },
      { head: 'STATUS', value: (host) => host.state },
      { head: 'ARCH', value: (host) => host.architecture },
      { head: 'CPUS', value: (host) => `${host.processors.promised}/${host.processors.total}` },
      { head: 'LOAD', value: (host) => host.processors.load1.toFixed(2) },
      { head: 'MEMORY', value: (host) => `${bytes(host.memory.promisedBytes)}/${bytes(host.memory.totalBytes)}` },
      { head: 'FREE DISK', value: (host) => bytes(host.disk.availableBytes) },
      { head: 'MACHINES', value: (host) => String(host.machines) },
      { head: 'RUNS', value: (host) => host.runs.filter((one) => one.works).map((one) => `${one.architecture}:${one.engine}/${one.accelerator}`).join(', ') },
      { head: 'KERNEL', wide: true, value: (host) => host.kernel },
      { head: 'ID', wide: true, value: (host) => host.id },
    ],
  }, options);
  return exitCodes.ok;
}
