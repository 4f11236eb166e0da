/** Engines: what they say of themselves, what was proved, and the one table of what they cannot do. */
import { abilityWords, engineAbilities, reasonAgainst, type Engine } from '#contract';
import { StrataError } from '#base';
import type { EngineFacts } from '#machines';
import type { Backend } from '../backend.ts';
import type { Layers } from './layers.ts';
import { timeOf } from './show-machine.ts';

const isolationOf = { kvm: 'hardware', tcg: 'emulated', none: 'process' } as const;

export function enginesBackend(layers: Layers): Backend['engines'] {
  const all = async () => (await layers.machines.engineFacts()).map(showEngine);
  return {
    list: all,
    async get(name) {
      const engines = await all();
      const found = engines.find((one) => one.name === name);
      if (found === undefined) throw new StrataError(`there is no engine ${name}`, { code: 'engine.notFound', kind: 'notFound', advice: `engines here: ${engines.map((one) => one.name).join(', ')}` });
      return found;
    },
  };
}

/** Pure. */
export function showEngine({ capabilities, proofs, figures }: EngineFacts): Engine {
  const { name, version, architectures, maxDisks, maxProcessors } = capabilities;
  const shown = (proofs ?? []).map(({ architecture, accelerator, works, evidence }) => ({ architecture, accelerator, works, evidence, isolation: name === 'fake' ? 'emulated' as const : isolationOf[accelerator] }));
  return {
    name, version: version ?? null, architectures: [...architectures], proofs: shown,
    isolation: [...new Set(shown.filter((one) => one.works).map((one) => one.isolation))],
    figures: figures.map(({ architecture, accelerator, stepNanos, callNanos, forkMicros, measuredAt }) => ({ architecture, accelerator, stepNanos, callNanos, forkMicros, measuredAt: timeOf(measuredAt) })),
    most: { disks: maxDisks, processors: maxProcessors },
    abilities: engineAbilities.map((ability) => {
      const reason = reasonAgainst(name, ability) ?? '';
      return { ability, summary: abilityWords[ability], can: reason === '', reason };
    }),
  };
}
