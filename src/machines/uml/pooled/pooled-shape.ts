/** What a pooled UML machine has been given before it was anybody's, and a machine must want to be able to take it. Pure. */
import type { Architecture } from '#base';
import type { MachineSpec } from '../../machine.ts';
import type { ShapeFacts } from '../../pooled/pool-shelf.ts';

export interface PooledShape {
  readonly architecture: Architecture;
  /** The build of the guest OS: another one is another kernel or agent. */
  readonly guestOs: string;
  readonly memoryMiB: number;
  readonly scratchMiB: number;
  /** It has a network card, whose MAC and tap are told it when it is taken. */
  readonly card: boolean;
}

export const pooledShapeOf = ({ architecture, memoryMiB, scratchMiB, network }: Pick<MachineSpec, 'architecture' | 'memoryMiB' | 'scratchMiB' | 'network'>, guestOs: string): PooledShape => ({ architecture, memoryMiB, scratchMiB, card: network !== null, guestOs });

export function pooledFacts({ architecture, guestOs, memoryMiB, scratchMiB, card }: PooledShape): ShapeFacts {
  return { key: `${guestOs.slice(0, 12)}-${memoryMiB}-${scratchMiB}-${card ? 'card' : 'bare'}`, architecture, accelerator: 'none', processors: 1, memoryMiB, scratchMiB, card };
}
