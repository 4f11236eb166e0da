/** That UML runs here is proved by a guest that ran; the same guest measures the delay loop. */
import { existsSync } from 'node:fs';
import { hostArchitecture } from '#base';
import type { AcceleratorProof } from '../engine.ts';
import { readConsoleRing } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { freeUid } from '../vmm/allocate-uid.ts';
import { askForLife } from '../vmm/ask-for-life.ts';
import { bootMachine } from './boot-machine.ts';
import { eraseMachine } from './erase-machine.ts';
import { findLoopsPerJiffy, keepLoopsPerJiffy } from './loops-per-jiffy.ts';
import { umlArchitectures, type UmlContext } from './uml-context.ts';
import { umlPlaces } from './uml-places.ts';

const limitMs = 20_000;
/** The guest of a proof has no record; its id is fixed, so that one of a daemon that died is found. */
const proofId = 'mproofuml';

/** Ends and removes what an earlier daemon left in the middle of a proof. */
export async function eraseProof(context: UmlContext): Promise<void> {
  const places = umlPlaces(context.instance, proofId);
  if (existsSync(places.runFolder) || existsSync(places.stateFolder)) await eraseMachine(context, proofId);
  else await freeUid(context.instance, proofId);
}

export async function proveUml(context: UmlContext, signal?: AbortSignal): Promise<readonly AcceleratorProof[]> {
  if (umlArchitectures.length === 0) return [];
  const said = (works: boolean, evidence: string): readonly AcceleratorProof[] => [{ architecture: hostArchitecture, accelerator: 'none', works, evidence }];
  const spec = proofSpec();
  const places = umlPlaces(context.instance, spec.id);
  const began = context.clock.monotonic();
  try {
    const machine = await bootMachine(context, spec, { measure: true, ...(signal === undefined ? {} : { signal }) });
    try {
      const answered = await askForLife(machine, limitMs - (context.clock.monotonic() - began), signal);
      const seconds = ((context.clock.monotonic() - began) / 1000).toFixed(1);
      if (!answered) return said(false, `no answer of a guest within ${limitMs / 1000} s`);
      const loops = findLoopsPerJiffy((await readConsoleRing(places.runFolder)).toString('latin1'));
      if (loops !== undefined) await keepLoopsPerJiffy(context.instance, loops);
      return said(true, `guest answered after ${seconds} s`);
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

function proofSpec(): MachineSpec {
  return {
    id: proofId, name: 'proof', architecture: hostArchitecture, engine: 'uml', processors: 1, memoryMiB: 128, boot: { kind: 'guest-os' }, scratchMiB: 0,
    disks: [], network: null, wanted: 'running', owner: null, createdAt: 0, generation: 1,
  };
}
