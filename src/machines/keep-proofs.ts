/**
 * What this host's engines were proved to run, remembered for one boot of the host and one version of the
 * engine: running guests to find out takes seconds. An engine that proved nothing is asked again next time.
 */
import { hostBootId } from '#base';
import type { AcceleratorProof, Engine } from './engine.ts';
import type { EngineName } from './machine.ts';
import type { ProofRecords } from './proof-records.ts';

/** A proof with the engine that gave it. */
export type EngineProof = AcceleratorProof & { readonly engine: EngineName };

export interface KeptProofs {
  /** Runs guests where it is not known yet; once, however many ask. Of all engines, or those alone. */
  all(only?: readonly EngineName[]): Promise<readonly EngineProof[]>;
  /** What is known without running anything. */
  known(engine: EngineName): Promise<readonly EngineProof[] | undefined>;
}

export function keepProofs(deps: { readonly engines: readonly Engine[]; readonly records: ProofRecords; readonly signal: AbortSignal; readonly hostBootId?: (() => string) | undefined }): KeptProofs {
  const bootId = deps.hostBootId ?? hostBootId;
  const running = new Map<EngineName, Promise<readonly EngineProof[]>>();

  async function known(engine: Engine): Promise<readonly EngineProof[] | undefined> {
    const [record, { version }] = await Promise.all([deps.records.get(engine.name), engine.capabilities()]);
    if (record === undefined || record.bootId !== bootId() || record.version !== (version ?? '')) return undefined;
    return record.proofs;
  }
  async function prove(engine: Engine): Promise<readonly EngineProof[]> {
    const before = await known(engine);
    if (before !== undefined) return before;
    const { version } = await engine.capabilities();
    const proofs = (await engine.prove(deps.signal)).map((proof) => ({ ...proof, engine: engine.name, evidence: proof.evidence.slice(0, 500) }));
    if (proofs.some((proof) => proof.works)) await deps.records.put(engine.name, { bootId: bootId(), version: version ?? '', proofs });
    return proofs;
  }
  return {
    async all(only) {
      const each = deps.engines.filter((engine) => only === undefined || only.includes(engine.name)).map((engine) => {
        let one = running.get(engine.name);
        if (one === undefined) {
          one = prove(engine).finally(() => running.delete(engine.name));
          running.set(engine.name, one);
        }
        return one;
      });
      return (await Promise.all(each)).flat();
    },
    async known(name) {
      const engine = deps.engines.find((one) => one.name === name);
      return engine === undefined ? undefined : known(engine);
    },
  };
}
