/** What a pooled machine has been given before it was anybody's, and a machine must want to be able to take it. Pure. */
import type { MachineSpec } from '../../machine.ts';
import type { ShapeFacts } from '../../pooled/pool-shelf.ts';
import { templateKey, type TemplateShape } from '../templates/template-shape.ts';

export interface PooledShape {
  readonly template: TemplateShape;
  readonly scratchMiB: number;
  /** It has a network card, whose MAC and tap are told it when it is taken. */
  readonly card: boolean;
}

export const pooledShapeOf = (template: TemplateShape, spec: Pick<MachineSpec, 'scratchMiB' | 'network'>): PooledShape => ({ template, scratchMiB: spec.scratchMiB, card: spec.network !== null });

export function pooledFacts({ template, scratchMiB, card }: PooledShape): ShapeFacts {
  const { architecture, accelerator, processors, memoryMiB } = template;
  return { key: `${templateKey(template)}-${scratchMiB}-${card ? 'card' : 'bare'}`, architecture, accelerator, processors, memoryMiB, scratchMiB, card };
}
