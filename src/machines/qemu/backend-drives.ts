/** QEMU's words for disks that back ends serve (vhost-user), and for memory that they can reach. Pure. */
import { slotOf, socketInJail } from '../backends/backend-places.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { serialId } from './drives.ts';

/** A back end reads and writes the guest's memory itself. Nobody else is handed it: it has no name. */
export function sharedMemory({ memoryMiB }: Pick<MachineSpec, 'memoryMiB'>): string[] {
  return ['-object', `memory-backend-memfd,id=memory,size=${memoryMiB}M,share=on`];
}

/**
 * One request at a time. The back end of QEMU 7.2 keeps no list of requests it has begun, and a VMM that finds it again
 * begins after as many as were answered: with several at once, answered out of order, one would be lost and another be
 * answered twice. Writes are cached by the host until the guest flushes (no `config-wce`: else guests believe each write lasts).
 */
export function backendArguments(disk: MachineDisk, index: number): string[] {
  const chardev = `b-${disk.serial}`;
  return [
    '-chardev', `socket,id=${chardev},path=${socketInJail(disk.serial)},reconnect=1`,
    '-device', JSON.stringify({ driver: 'vhost-user-blk-pci', id: serialId(disk.serial), chardev, bus: 'pcie.0', addr: slotOf(index).toString(16), 'num-queues': 1, 'queue-size': 1, 'config-wce': false }),
  ];
}
