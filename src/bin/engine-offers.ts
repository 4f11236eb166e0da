/** What the machines layer knows of each engine, as the services layer asks for it. Pure. */
import type { EngineFacts } from '#machines';
import type { EngineOffer } from '#services';

export function engineOffers(facts: readonly EngineFacts[]): readonly EngineOffer[] {
  return facts.flatMap((one) => one.capabilities.architectures.flatMap((architecture): EngineOffer[] => {
    const { name, maxProcessors, maxDisks } = one.capabilities;
    if (name === 'fake') return [];
    const proofs = (one.proofs ?? []).filter((proof) => proof.architecture === architecture);
    const working = proofs.filter((proof) => proof.works);
    const isolation = one.capabilities.isolation ?? (working.some((proof) => proof.accelerator === 'kvm') ? 'hardware' : 'emulated');
    const broken = proofs.length > 0 && working.length === 0 ? `no ${architecture} guest ran with it here: ${proofs.map((proof) => proof.evidence).join('; ')}` : '';
    const cost = one.figures.find((figures) => figures.architecture === architecture) ?? null;
    return [{ engine: name, architecture, isolation, maxProcessors, maxDisks, cost, broken }];
  }));
}
