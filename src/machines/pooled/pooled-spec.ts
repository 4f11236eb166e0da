/** The machine a pooled one is until it is taken: nobody's name, and a MAC that no other link of its own tap has. Pure. */
import type { EngineName, MachineSpec } from '../machine.ts';
import type { ShapeFacts } from './pool-shelf.ts';

export function pooledSpec(engine: EngineName, { architecture, processors, memoryMiB, scratchMiB, card }: Omit<ShapeFacts, 'key' | 'accelerator'>, id: string): MachineSpec {
  return {
    id, name: 'pooled', architecture, engine, processors, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB, disks: [],
    network: card ? { mac: '02:00:00:00:00:01', address: '' } : null, wanted: 'paused', owner: null, createdAt: 0, generation: 0,
  };
}
