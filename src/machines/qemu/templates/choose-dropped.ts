/** Which templates are not worth their memory any more. Pure. */
import { isSameButVersions, type TemplateShape } from './template-shape.ts';

export interface KeptTemplate { readonly key: string; readonly shape: TemplateShape; readonly usedBytes: number; readonly usedAt: number }

export interface KeepingFacts {
  readonly templates: readonly KeptTemplate[];
  /** Made just now: those of its shape with other versions are of no use any more. */
  readonly made: TemplateShape | undefined;
  readonly now: number;
  readonly budgetBytes: number;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

const unusedMs = 24 * 3600_000;
/** With less of the host's memory free than this, all go: a boot takes a second, memory that is not there takes a machine. */
const pressedShare = 1 / 12;

export function chooseDropped(facts: KeepingFacts): readonly { readonly key: string; readonly why: string }[] {
  const { templates, made, now } = facts;
  if (facts.freeBytes < facts.totalBytes * pressedShare) return templates.map(({ key }) => ({ key, why: 'the host has little free memory' }));
  const dropped: { key: string; why: string }[] = [];
  let left = facts.budgetBytes;
  for (const one of templates.toSorted((first, second) => second.usedAt - first.usedAt)) {
    if (made !== undefined && isSameButVersions(one.shape, made) && (one.shape.qemuVersion !== made.qemuVersion || one.shape.guestOsVersion !== made.guestOsVersion)) dropped.push({ key: one.key, why: 'there is one of newer versions' });
    else if (now - one.usedAt > unusedMs) dropped.push({ key: one.key, why: 'nobody used it for a day' });
    else if (one.usedBytes > left) dropped.push({ key: one.key, why: 'templates have used up their memory' });
    else left -= one.usedBytes;
  }
  return dropped;
}

export const templateBudget = (totalBytes: number): number => Math.min(totalBytes / 16, 1024 ** 3);
