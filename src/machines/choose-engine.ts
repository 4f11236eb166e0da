/** Chooses what runs a machine, or says of each engine why not: pure. */
import { StrataError } from '#base';
import type { AcceleratorProof, EngineCapabilities } from './engine.ts';
import type { EngineName, MachineSpec } from './machine.ts';

export interface EngineCandidate {
  readonly capabilities: EngineCapabilities;
  /** What it was proved to run on this host; undefined while nobody has looked. */
  readonly proofs: readonly AcceleratorProof[] | undefined;
}

export type EngineChoice =
  | { readonly chosen: EngineName; readonly why: string }
  | { readonly chosen: null; readonly refusals: readonly { readonly engine: EngineName; readonly why: string }[] };

/** What of a machine decides which engines can ever run it. */
export type EngineAsk = Pick<MachineSpec, 'name' | 'architecture' | 'engine' | 'processors' | 'memoryMiB'> & { readonly boot: Pick<MachineSpec['boot'], 'kind'>; readonly disks: { readonly length: number } };

/** `auto` takes the first that can, in the order given. */
export function chooseEngine(spec: EngineAsk, candidates: readonly EngineCandidate[]): EngineChoice {
  const asked = candidates.filter(({ capabilities }) => spec.engine === 'auto' || capabilities.name === spec.engine);
  const refusals: { readonly engine: EngineName; readonly why: string }[] = [];
  for (const candidate of asked) {
    const why = refusal(spec, candidate);
    if (why === undefined) return { chosen: candidate.capabilities.name, why: spec.engine === 'auto' ? 'the first engine of this host that can run it' : 'it was asked for' };
    refusals.push({ engine: candidate.capabilities.name, why });
  }
  if (asked.length === 0 && spec.engine !== 'auto') refusals.push({ engine: spec.engine, why: 'this host does not have it' });
  return { chosen: null, refusals };
}

function refusal(spec: EngineAsk, { capabilities, proofs }: EngineCandidate): string | undefined {
  if (spec.engine === 'auto' && capabilities.isolation === 'process') return 'its isolation is `process`, which only who asks for it by name gets';
  if (capabilities.architectures.length === 0) return 'its programs are not installed';
  if (!capabilities.architectures.includes(spec.architecture)) return `it runs ${capabilities.architectures.join(' and ')}, not ${spec.architecture}`;
  if (spec.boot.kind === 'disk' && !capabilities.ownDisks) return 'it cannot boot from a disk';
  if (spec.processors > capabilities.maxProcessors) return `it gives at most ${capabilities.maxProcessors} ${capabilities.maxProcessors === 1 ? 'processor' : 'processors'}, and ${spec.processors} are asked for`;
  const least = capabilities.leastMemoryMiB?.[spec.architecture] ?? 0;
  if (spec.boot.kind === 'guest-os' && spec.memoryMiB < least) return `our guest OS for ${spec.architecture} needs at least ${least} MiB of memory, and ${spec.memoryMiB} MiB are asked for`;
  if (spec.disks.length > capabilities.maxDisks) return `it takes at most ${capabilities.maxDisks} disks, and ${spec.disks.length} are asked for`;
  const own = proofs?.filter((proof) => proof.architecture === spec.architecture) ?? [];
  if (own.length > 0 && own.every((proof) => !proof.works)) return `no ${spec.architecture} guest ran with it here: ${own.map((proof) => `${proof.accelerator}: ${proof.evidence}`).join('; ')}`;
  return undefined;
}

/** The refusal as an error. */
export function engineRefusal(spec: EngineAsk, choice: Extract<EngineChoice, { chosen: null }>): StrataError {
  const reasons = choice.refusals.map((one) => `${one.engine}: ${one.why}`).join('; ');
  return new StrataError(`no engine can run machine ${spec.name}: ${reasons === '' ? 'this host has none' : reasons}`, { code: 'machine.noEngine', kind: 'refused', advice: 'change what is asked for, or see `strata doctor` for what this host can run', details: { refusals: choice.refusals } });
}
