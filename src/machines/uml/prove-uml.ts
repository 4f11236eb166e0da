/** That UML runs here is proved by a guest that ran; the same guest measures the delay loop. */
import { existsSync } from 'node:fs';
import { hostArchitecture } from '#base';
import type { AcceleratorProof } from '../engine.ts';
import { readConsoleRing } from '../launcher/index.ts';
import { freeUid } from '../vmm/allocate-uid.ts';
import { proofSpec, proveByGuest } from '../vmm/prove-by-guest.ts';
import { bootMachine } from './boot-machine.ts';
import { eraseMachine } from './erase-machine.ts';
import { findLoopsPerJiffy, keepLoopsPerJiffy } from './loops-per-jiffy.ts';
import { umlArchitectures, type UmlContext } from './uml-context.ts';
import { umlPlaces } from './uml-places.ts';

/** Idle hosts take two seconds. One that is busy with other things must not be told that it cannot. */
const limitMs = 60_000;
const proofId = 'mproofuml';

/** Ends and removes what an earlier daemon left in the middle of a proof. */
export async function eraseProof(context: UmlContext): Promise<void> {
  const places = umlPlaces(context.instance, proofId);
  if (existsSync(places.runFolder) || existsSync(places.stateFolder)) await eraseMachine(context, proofId);
  else await freeUid(context.instance, proofId);
}

export async function proveUml(context: UmlContext, signal?: AbortSignal): Promise<readonly AcceleratorProof[]> {
  if (umlArchitectures.length === 0) return [];
  const spec = proofSpec(proofId, { engine: 'uml', architecture: hostArchitecture, memoryMiB: 128 });
  const { runFolder } = umlPlaces(context.instance, spec.id);
  const proof = await proveByGuest({
    architecture: hostArchitecture, accelerator: 'none', clock: context.clock, limitMs,
    start: () => bootMachine(context, spec, { measure: true, ...(signal === undefined ? {} : { signal }) }),
    async answered() {
      const loops = findLoopsPerJiffy((await readConsoleRing(runFolder)).toString('latin1'));
      if (loops !== undefined) await keepLoopsPerJiffy(context.instance, loops);
    },
    erase: () => eraseMachine(context, spec.id),
  }, signal);
  return [proof];
}
