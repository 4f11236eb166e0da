/**
 * Refuses effects of an older generation: what a late or doubled caller wants, after a newer wish was
 * acted on already, does not happen (design.md decision 3). Kept in the store, so it holds after a restart.
 */
import { z } from 'zod';
import { StrataError } from '#base';
import { recordsOf, type Store } from '#store';

export interface GenerationGuard {
  /** Admits this and newer generations for the subject (a record key) from now on. @throws StrataError `reconcile.staleGeneration` */
  admit(subject: string, generation: number): Promise<void>;
  /** Forgets a subject that is gone for good. */
  forget(subject: string): Promise<void>;
}

export function openGenerationGuard(store: Store): GenerationGuard {
  const seen = recordsOf(store, 'generation', z.strictObject({ generation: z.int() }));
  return {
    async admit(subject, generation) {
      await seen.update(subject, (before) => {
        if (before !== undefined && before.generation > generation) {
          throw new StrataError(`${subject}: generation ${generation} is older than ${before.generation}, which was acted on already`, { code: 'reconcile.staleGeneration', kind: 'conflict', advice: 'look at the record again and repeat the change', details: { subject, generation, newest: before.generation } });
        }
        return before?.generation === generation ? before : { generation };
      });
    },
    async forget(subject) { await seen.delete(subject); },
  };
}
