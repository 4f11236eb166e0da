/** `strata machine ls` */
import { age, formatOf, lines, printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items: listed } = await (await context.client()).call('listMachines');
  // Programs get what the API answers, in its order.
  const items = ['json', 'yaml', 'jsonl'].includes(formatOf(options)) ? listed : listed.toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  if (options.flag('quiet')) { context.out.write(lines(items.map((machine) => machine.id))); return exitCodes.ok; }
  const now = Date.now();
  await printList(context.out, items, {
    name: (machine) => machine.name,
    columns: [
      { head: 'NAME', value: (machine) => machine.name },
      { head: 'STATUS', atMost: 40, value: (machine) => `${machine.phase}${machine.phase === 'running' ? ` ${age(machine.startedAt, now)}` : ''}${machine.why === '' ? '' : `: ${machine.why}`}` },
      { head: 'ARCH', value: (machine) => machine.architecture },
      { head: 'ENGINE', value: (machine) => [machine.engine, machine.accelerator].filter((one) => one !== null && one !== 'none').join('/') },
      { head: 'ISOLATION', value: (machine) => machine.isolation ?? '' },
      { head: 'CPUS', value: (machine) => String(machine.processors) },
      { head: 'MEMORY', value: (machine) => `${machine.memoryMiB} MiB` },
      { head: 'ADDRESS', value: (machine) => machine.address ?? '' },
      { head: 'APP', value: (machine) => machine.app ?? '' },
      { head: 'ID', wide: true, value: (machine) => machine.id },
      { head: 'HOST', wide: true, value: (machine) => machine.host },
      { head: 'KERNEL', wide: true, value: (machine) => machine.guest?.kernel ?? '' },
      { head: 'BOOT', wide: true, value: (machine) => (machine.bootMs === null ? '' : `${machine.bootMs} ms`) },
      { head: 'STARTED BY', wide: true, value: (machine) => (machine.startedBy === null ? '' : `${machine.startedBy.way}${machine.startedBy.why === '' ? '' : `: ${machine.startedBy.why}`}`) },
    ],
  }, options);
  return exitCodes.ok;
}
