/** What this engine tells the pool of its paused machines, and does with them. */
import type { PoolSource } from '../../pooled/pool-shelf.ts';
import { awaitExit, endVmm } from '../../vmm/end-vmm.ts';
import { eraseMachine } from '../erase-machine.ts';
import type { QemuContext } from '../qemu-context.ts';
import { makePooled } from './make-pooled.ts';
import type { PooledMachine } from './pooled-machine.ts';
import { pooledFacts, type PooledShape } from './pooled-shape.ts';

export function qemuPoolSource(context: QemuContext): PoolSource<PooledShape, PooledMachine> {
  return {
    engine: 'qemu',
    factsOf: pooledFacts,
    async prospectOf(shape) {
      if (shape.card && context.network?.handOverTap === undefined) return { why: 'this host\'s network cannot give a card to another machine' };
      const found = await context.templates?.find(shape.template, { use: false });
      if (found === undefined) return { why: 'there are no templates' };
      if ('why' in found) return { why: found.why };
      const { template } = found;
      return { expectedBytes: template.record.usedBytes, make: (signal) => makePooled(context, shape, template, signal) };
    },
    async end({ id, places, record, monitor, sockets }) {
      monitor.close();
      sockets.close();
      await endVmm(record);
      await awaitExit(context, places, record);
      await eraseMachine(context, id);
    },
  };
}
