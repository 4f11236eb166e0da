/** What a pooled machine has been given before it was anybody's, and a machine must want to be able to take it. Pure. */
import type { MachineSpec } from '../../machine.ts';
import { templateKey, type TemplateShape } from '../templates/template-shape.ts';

export interface PooledShape {
  readonly template: TemplateShape;
  readonly scratchMiB: number;
  /** It has a network card, whose MAC and tap are told it when it is taken. */
  readonly card: boolean;
}

export const pooledShapeOf = (template: TemplateShape, spec: Pick<MachineSpec, 'scratchMiB' | 'network'>): PooledShape => ({ template, scratchMiB: spec.scratchMiB, card: spec.network !== null });

export const pooledKey = ({ template, scratchMiB, card }: PooledShape): string => `${templateKey(template)}-${scratchMiB}-${card ? 'card' : 'bare'}`;

/** The machine a pooled one is until it is taken: nobody's name, and a MAC that no other link of its own tap has. */
export function pooledSpec(shape: PooledShape, id: string): MachineSpec {
  const { architecture, processors, memoryMiB } = shape.template;
  return {
    id, name: 'pooled', architecture, engine: 'qemu', processors, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: shape.scratchMiB, disks: [],
    network: shape.card ? { mac: '02:00:00:00:00:01', address: '' } : null, wanted: 'paused', owner: null, createdAt: 0, generation: 0,
  };
}
