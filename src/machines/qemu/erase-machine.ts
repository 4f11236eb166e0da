/** Removes the traces of a machine. */
import { endKnownVmm, eraseVmm } from '../vmm/erase-vmm.ts';
import { machinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { releaseReserve } from '../pooled/release-reserve.ts';

export async function eraseMachine(context: QemuContext, id: string): Promise<void> {
  const places = machinePlaces(context.instance, id);
  await context.readyVmms.drop(id);
  await endKnownVmm(context, places);
  await releaseReserve(context, places);
  await eraseVmm(context, places, id);
}
