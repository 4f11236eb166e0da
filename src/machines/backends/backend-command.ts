/** The command line of a back end: one disk with its layers, one socket, and a monitor, which answers once the disk is served. Pure. */
import { basename, dirname } from 'node:path';
import { firstDescriptor, type MountedDisk, type VmmDescriptor } from '../launcher/index.ts';
import type { MachineDisk } from '../machine.ts';
import { fileNode, nodeName } from '../qemu/drives.ts';
import { socketBeforeItServes } from './backend-places.ts';

export const storageDaemon = '/usr/bin/qemu-storage-daemon';

export interface BackendCommand {
  readonly program: string;
  readonly argv: readonly string[];
  readonly descriptors: readonly VmmDescriptor[];
  readonly mounted: { readonly folder: string; readonly disks: readonly MountedDisk[] };
}

const folder = '/disks';
/** Where it sees a file that is handed in later. */
export const jailFile = (name: string): string => `${folder}/${name}`;
const exportId = 'disk';

/** Layers bear their own names there, which are in no other folder; the file that the machine's wish names bears the disk's. */
export const nameInJail = (serial: string, path: string, layers: string): string => (dirname(path) === layers ? basename(path) : serial);

/** @param disk as it is to be opened now @param layers the folder where files of it lie that its wish does not name */
export function backendCommand(disk: MachineDisk, layers: string): BackendCommand {
  const descriptors: VmmDescriptor[] = [];
  const add = (one: VmmDescriptor): number => descriptors.push(one) - 1 + firstDescriptor;
  const socket = add({ kind: 'listen-shared', name: socketBeforeItServes });
  add({ kind: disk.readOnly ? 'lock-shared' : 'lock-alone', path: disk.path });
  const files = [{ path: disk.path, readOnly: disk.readOnly }, ...(disk.backing ?? []).map(({ path }) => ({ path, readOnly: true }))].map((file) => ({ ...file, name: nameInJail(disk.serial, file.path, layers) }));
  const [top = '', ...below] = files.map(({ name }) => jailFile(name));
  const node = fileNode(disk, top, below);
  const served = { type: 'vhost-user-blk', id: exportId, 'node-name': nodeName(disk.serial), addr: { type: 'fd', str: String(socket) }, writable: !disk.readOnly, 'num-queues': 1 };
  const argv = [
    storageDaemon, '--blockdev', JSON.stringify(node), '--export', JSON.stringify(served),
    '--chardev', `socket,id=monitor,fd=${add({ kind: 'listen', name: 'm' })},server=on,wait=off`, '--monitor', 'chardev=monitor,mode=control',
  ];
  return { program: storageDaemon, argv, descriptors, mounted: { folder, disks: files } };
}
