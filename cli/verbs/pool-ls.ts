/** `strata pool ls` */
import { bytes, printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listPool');
  await printList(context.out, items, {
    name: (shape) => shape.key,
    columns: [
      { head: 'ARCH', value: (shape) => shape.architecture },
      { head: 'ENGINE', value: (shape) => (shape.accelerator === 'none' ? shape.engine : `${shape.engine}/${shape.accelerator}`) },
      { head: 'CPUS', value: (shape) => String(shape.processors) },
      { head: 'MEMORY', value: (shape) => `${shape.memoryMiB} MiB` },
      { head: 'SCRATCH', value: (shape) => (shape.scratchMiB === 0 ? '' : `${shape.scratchMiB} MiB`) },
      { head: 'CARD', value: (shape) => (shape.card ? 'yes' : 'no') },
      { head: 'READY', value: (shape) => `${shape.ready}/${shape.size}` },
      { head: 'HELD', value: (shape) => bytes(shape.heldBytes) },
      { head: 'HITS', value: (shape) => String(shape.hits) },
      { head: 'MISSES', value: (shape) => String(shape.misses) },
      { head: 'REFILL', value: (shape) => (shape.refillMs === null ? '' : `${shape.refillMs} ms`) },
      { head: 'WHY NOT MORE', atMost: 50, value: (shape) => shape.why },
      { head: 'REFILLS', wide: true, value: (shape) => String(shape.refills) },
      { head: 'KEY', wide: true, value: (shape) => shape.key },
    ],
  }, options);
  return exitCodes.ok;
}
