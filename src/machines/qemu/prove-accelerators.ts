/** What the host can run, proved by a guest that ran: opening /dev/kvm proves nothing. */
import { existsSync } from 'node:fs';
import { architectures, hostArchitecture, type Architecture } from '#base';
import type { AcceleratorProof } from '../engine.ts';
import type { MachineSpec } from '../machine.ts';
import { freeUid } from '../vmm/allocate-uid.ts';
import { askForLife } from '../vmm/ask-for-life.ts';
import { eraseMachine } from './erase-machine.ts';
import { machinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { installedArchitectures } from './installed-architectures.ts';
import { startMachine } from './start-machine.ts';

const limitsMs = { kvm: 5000, tcg: 60_000 } as const;
type Accelerator = keyof typeof limitsMs;

/** Guests of proofs have no records; their ids are fixed, so that those of a daemon that died are found. */
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
  const said = (works: boolean, evidence: string): AcceleratorProof => ({ architecture, accelerator, works, evidence });
  if (accelerator === 'kvm' && !existsSync('/dev/kvm')) return said(false, 'the host has no /dev/kvm');
  const spec = proofSpec(architecture, accelerator);
  const limit = limitsMs[accelerator];
  const began = context.clock.monotonic();
  try {
    const machine = await startMachine({ ...context, accelerator: async () => accelerator }, spec, signal);
    try {
      const answered = await askForLife(machine, limit - (context.clock.monotonic() - began), signal);
      const seconds = ((context.clock.monotonic() - began) / 1000).toFixed(1);
      return answered ? said(true, `guest answered after ${seconds} s`) : said(false, `no answer of a guest within ${limit / 1000} s`);
    } finally {
      await machine.release();
    }
  } catch (error) {
    signal?.throwIfAborted();
    return said(false, (error as Error).message);
  } finally {
    await eraseMachine(context, spec.id);
  }
}

function proofSpec(architecture: Architecture, accelerator: Accelerator): MachineSpec {
  return {
    id: proofId(architecture, accelerator), name: 'proof', architecture, engine: 'qemu', processors: 1, memoryMiB: 256, boot: { kind: 'guest-os' }, scratchMiB: 0,
    disks: [], network: null, wanted: 'running', owner: null, createdAt: 0, generation: 1,
  };
}
