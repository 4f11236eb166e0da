/** The command line of a back end: one disk, one socket, and two monitors, which answer once the disk is served. Pure. */
import { firstDescriptor, type MountedDisk, type VmmDescriptor } from '../launcher/index.ts';
import type { MachineDisk } from '../machine.ts';
import { sharedSocket } from './backend-places.ts';

export const storageDaemon = '/usr/bin/qemu-storage-daemon';

export interface BackendCommand {
  readonly program: string;
  readonly argv: readonly string[];
  readonly descriptors: readonly VmmDescriptor[];
  readonly mounted: { readonly folder: string; readonly disks: readonly MountedDisk[] };
}

const folder = '/disks';
const exportId = 'disk';
/** As QEMU names a disk of a machine: operations on disks are told one name, whoever has them open. */
const nodeOf = (serial: string): string => `n-${serial}`;

export function backendCommand(disk: MachineDisk): BackendCommand {
  const descriptors: VmmDescriptor[] = [];
  const add = (one: VmmDescriptor): number => descriptors.push(one) - 1 + firstDescriptor;
  const socket = add({ kind: 'listen-shared', name: sharedSocket });
  add({ kind: disk.readOnly ? 'lock-shared' : 'lock-alone', path: disk.path });
  const discard = disk.readOnly ? 'ignore' : 'unmap';
  const node = {
    driver: disk.format, 'node-name': nodeOf(disk.serial), 'read-only': disk.readOnly, discard,
    file: { driver: 'file', 'node-name': `f-${disk.serial}`, filename: `${folder}/${disk.serial}`, 'read-only': disk.readOnly, discard, locking: 'on', aio: 'threads' },
    ...(disk.format === 'qcow2' ? { backing: null } : {}),
  };
  const served = { type: 'vhost-user-blk', id: exportId, 'node-name': nodeOf(disk.serial), addr: { type: 'fd', str: String(socket) }, writable: !disk.readOnly, 'num-queues': 1 };
  const argv = [
    storageDaemon, '--blockdev', JSON.stringify(node), '--export', JSON.stringify(served),
    ...monitor('monitor', add({ kind: 'listen', name: 'm' })), ...monitor('passing', add({ kind: 'listen', name: 'p' })),
  ];
  return { program: storageDaemon, argv, descriptors, mounted: { folder, disks: [{ name: disk.serial, path: disk.path, readOnly: disk.readOnly }] } };
}

function monitor(id: string, fd: number): string[] {
  return ['--chardev', `socket,id=${id},fd=${fd},server=on,wait=off`, '--monitor', `chardev=${id},mode=control`];
}
