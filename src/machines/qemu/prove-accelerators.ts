/** What the host can run, proved by a guest that ran: opening /dev/kvm proves nothing. */
import { existsSync } from 'node:fs';
import { architectures, hostArchitecture, type Architecture } from '#base';
import type { AcceleratorProof } from '../engine.ts';
import { freeUid } from '../vmm/allocate-uid.ts';
import { proofSpec, proveByGuest } from '../vmm/prove-by-guest.ts';
import { eraseMachine } from './erase-machine.ts';
import { machinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { installedArchitectures } from './installed-architectures.ts';
import { startMachine } from './start-machine.ts';

const limitsMs = { kvm: 5000, tcg: 60_000 } as const;
type Accelerator = keyof typeof limitsMs;

const proofId = (architecture: Architecture, accelerator: Accelerator): string => `mproof${architecture === 'x86_64' ? 'xf' : 'aa'}${accelerator}`;

/** Ends and removes what an earlier daemon left in the middle of a proof. */
export async function eraseProofs(context: QemuContext): Promise<void> {
  for (const id of architectures.flatMap((architecture) => [proofId(architecture, 'kvm'), proofId(architecture, 'tcg')])) {
    const places = machinePlaces(context.instance, id);
    if (existsSync(places.runFolder) || existsSync(places.stateFolder)) await eraseMachine(context, id);
    else await freeUid(context.instance, id);
  }
}

export async function proveAccelerators(context: QemuContext, signal?: AbortSignal): Promise<readonly AcceleratorProof[]> {
  const proofs: AcceleratorProof[] = [];
  for (const architecture of installedArchitectures()) {
    if (architecture === hostArchitecture) proofs.push(await prove(context, architecture, 'kvm', signal));
    proofs.push(await prove(context, architecture, 'tcg', signal));
  }
  return proofs;
}

async function prove(context: QemuContext, architecture: Architecture, accelerator: Accelerator, signal?: AbortSignal): Promise<AcceleratorProof> {
  if (accelerator === 'kvm' && !existsSync('/dev/kvm')) return { architecture, accelerator, works: false, evidence: 'the host has no /dev/kvm' };
  const spec = proofSpec(proofId(architecture, accelerator), { engine: 'qemu', architecture, memoryMiB: 256 });
  return proveByGuest({
    architecture, accelerator, clock: context.clock, limitMs: limitsMs[accelerator],
    start: () => startMachine({ ...context, accelerator: async () => accelerator }, spec, signal),
    erase: () => eraseMachine(context, spec.id),
  }, signal);
}
