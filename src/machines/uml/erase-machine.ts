/** Removes the traces of a machine. */
import { releaseReserve } from '../pooled/release-reserve.ts';
import { endKnownVmm, eraseVmm } from '../vmm/erase-vmm.ts';
import type { UmlContext } from './uml-context.ts';
import { umlPlaces } from './uml-places.ts';

export async function eraseMachine(context: UmlContext, id: string): Promise<void> {
  const places = umlPlaces(context.instance, id);
  await endKnownVmm(context, places);
  await releaseReserve(context, places);
  await eraseVmm(context, places, id);
}
