/** What this engine tells the pool of its paused machines, and does with them. */
import type { PoolSource } from '../../pooled/pool-shelf.ts';
import { awaitExit, endVmm } from '../../vmm/end-vmm.ts';
import { eraseMachine } from '../erase-machine.ts';
import type { UmlContext } from '../uml-context.ts';
import { makePooled } from './make-pooled.ts';
import type { PooledMachine } from './pooled-machine.ts';
import { pooledFacts, type PooledShape } from './pooled-shape.ts';

/** Of the first of a shape, as nobody knows better: a guest that had booted and answered was seen to hold 40 MB of 256 MiB, 62 to 76 of 1 GiB. */
const usualBytes = (memoryMiB: number): number => (32 + 0.04 * memoryMiB) * 1024 * 1024;

export function umlPoolSource(context: UmlContext): PoolSource<PooledShape, PooledMachine> {
  return {
    engine: 'uml',
    factsOf: pooledFacts,
    async prospectOf(shape) {
      if (shape.card && context.network?.handOverTap === undefined) return { why: 'this host\'s network cannot give a card to another machine' };
      const { version } = await context.guestOs(shape.architecture);
      if (version !== shape.guestOs) return { why: 'there is another build of the guest OS' };
      return { expectedBytes: usualBytes(shape.memoryMiB), make: (signal) => makePooled(context, shape, signal) };
    },
    async end({ id, places, record, sockets }) {
      sockets.close();
      await endVmm(record);
      await awaitExit(context, places, record);
      await eraseMachine(context, id);
    },
  };
}
