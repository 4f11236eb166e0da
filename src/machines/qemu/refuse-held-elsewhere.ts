/** Refuses disks that a UML machine has: QEMU sees by locks what another QEMU has, and of UML's only what its guest writes just now. */
import type { MachineDisk } from '../machine.ts';
import { refuseHeldDisk } from '../uml/refuse-held-disk.ts';
import type { QemuContext } from './qemu-context.ts';

/** @throws StrataError `machine.diskLocked` */
export async function refuseHeldElsewhere(context: Pick<QemuContext, 'instance'>, machineId: string, disks: readonly MachineDisk[]): Promise<void> {
  const own = disks.filter((disk) => disk.backend === undefined); // a back end looks itself
  await Promise.all(own.map((disk) => refuseHeldDisk(context, { id: machineId }, disk)));
}
