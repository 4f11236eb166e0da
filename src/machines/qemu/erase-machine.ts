/** Removes the traces of a machine. */
import { eraseVmm } from '../vmm/erase-vmm.ts';
import { machinePlaces } from './machine-places.ts';
import type { QemuContext } from './open-qemu-engine.ts';

export async function eraseMachine(context: QemuContext, id: string): Promise<void> {
  await eraseVmm(context, machinePlaces(context.instance, id), id);
}
