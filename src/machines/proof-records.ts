/**
 * Where proofs of engines are kept: they are facts of a host, so all of its instances read the same files; a world in
 * memory keeps its own in its store.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { architectures, atomicWrite } from '#base';
import { recordsOf, type Store } from '#store';
import { engineNames, type EngineName } from './machine.ts';

const keptSchema = z.strictObject({
  bootId: z.string(),
  version: z.string(),
  proofs: z.array(z.strictObject({ engine: z.enum(engineNames), architecture: z.enum(architectures), accelerator: z.enum(['kvm', 'tcg', 'none']), works: z.boolean(), evidence: z.string() })),
});
export type KeptProof = z.infer<typeof keptSchema>;

export interface ProofRecords {
  get(engine: EngineName): Promise<KeptProof | undefined>;
  put(engine: EngineName, kept: KeptProof): Promise<void>;
}

/** A damaged file proves nothing, as none does. */
export function proofsInFolder(folder: string): ProofRecords {
  const pathOf = (engine: EngineName): string => join(folder, `${engine}.json`);
  return {
    async get(engine) {
      try { return keptSchema.parse(JSON.parse(await readFile(pathOf(engine), 'utf8'))); } catch { return undefined; }
    },
    async put(engine, kept) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await atomicWrite(pathOf(engine), JSON.stringify(kept));
    },
  };
}

export function proofsInStore(store: Store): ProofRecords {
  const kept = recordsOf(store, 'engine-proof', keptSchema);
  return {
    get: async (engine) => (await kept.get(engine))?.value,
    put: async (engine, proof) => { await kept.put(engine, proof); },
  };
}
