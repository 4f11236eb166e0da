/** Engines as the API shows them: what was proved of each here, and what it can and cannot do. */
import { z } from 'zod';
import { engineAbilities } from './engine-abilities.ts';
import { architectureField, engineField, isolationField, listOf, timeField } from './fields.ts';

export const engineSchema = z.strictObject({
  name: engineField,
  version: z.string().nullable().describe('of the program that runs guests; null where it does not say or is not installed'),
  architectures: z.array(architectureField).describe('installed here'),
  isolation: z.array(isolationField).describe('what keeps its guests apart here, by what was proved; only hardware is for tenants who do not trust each other'),
  proofs: z.array(z.strictObject({
    architecture: architectureField,
    accelerator: z.enum(['kvm', 'tcg', 'none']),
    isolation: isolationField,
    works: z.boolean().describe('true only where a guest ran'),
    evidence: z.string(),
  })).describe('empty until guests ran: a first machine, or `strata doctor`, proves them'),
  figures: z.array(z.strictObject({
    architecture: architectureField, accelerator: z.enum(['kvm', 'tcg', 'none']),
    stepNanos: z.number().describe('one step of a loop in user code'), callNanos: z.number().describe('one system call'), forkMicros: z.number().describe('one process: forked, run, waited for'),
    measuredAt: timeField,
  })).describe('what it costs a guest, measured here; empty until then'),
  most: z.strictObject({ disks: z.int(), processors: z.int() }).describe('for one machine'),
  abilities: z.array(z.strictObject({ ability: z.enum(engineAbilities), summary: z.string(), can: z.boolean(), reason: z.string().describe('why not; empty where it can') })),
}).meta({ id: 'Engine' });
export type Engine = z.infer<typeof engineSchema>;
export const engineListSchema = listOf(engineSchema).meta({ id: 'EngineList' });
