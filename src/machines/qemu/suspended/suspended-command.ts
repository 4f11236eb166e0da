/** QEMU's command line for a machine that goes on from its suspended state: the devices it had, in the places they had. Pure. */
import { createHash } from 'node:crypto';
import { checkedMac, commonDevices, descriptorList, descriptorOf, opening, platform, qemuProgram, size, type VmmCommand } from '../command-line.ts';
import { deviceArguments, driveNode } from '../drives.ts';
import { cardPort, shapeArguments } from '../templates/template-shape.ts';
import type { SuspendedRecord } from './suspended-record.ts';

export interface SuspendedCommand extends VmmCommand {
  /** The descriptor it reads its state from. */
  readonly state: number;
}

/** What its devices depend on. */
export type SuspendedDevices = Omit<SuspendedRecord, 'devices' | 'stateBytes' | 'at'>;

export function suspendedCommand(record: SuspendedDevices, name: string, from: { readonly state: string; readonly tap: string | null }): SuspendedCommand {
  const { descriptors, add } = descriptorList();
  const state = add({ kind: 'disk-ro', path: from.state });
  const devices = commonDevices(add);
  const shape = { ...record, scratch: false, guestOsVersion: '' };
  const argv = [
    ...opening(record.architecture, name),
    ...(record.layout === 'template' ? shapeArguments(shape, 'own', devices, []) : [...platform(record.architecture, record.accelerator), ...size(record), ...devices]),
    '-no-reboot', '-incoming', 'defer',
  ];
  if (from.tap !== null && record.mac !== null) {
    argv.push('-netdev', `tap,id=net,fd=${add({ kind: 'tap', name: from.tap })},vhost=off`);
    argv.push('-device', `virtio-net-pci,${record.layout === 'template' ? `id=card,bus=${cardPort},` : ''}netdev=net,mac=${checkedMac(record.mac)},romfile=`);
  }
  for (const { disk, scsiId } of record.disks) {
    const set = add(descriptorOf(disk));
    argv.push('-add-fd', `fd=${set},set=${set}`, '-blockdev', JSON.stringify(driveNode(disk, set)), '-device', JSON.stringify({ ...deviceArguments(disk), 'scsi-id': scsiId }));
  }
  return { program: qemuProgram(record.architecture), argv, descriptors, state };
}

/** Twelve hex digits that change with the devices and with how this program lays them. */
export function devicesKey(record: SuspendedDevices): string {
  const { argv } = suspendedCommand(record, '', { state: '', tap: record.mac === null ? null : '' });
  return createHash('sha256').update(JSON.stringify(argv)).digest('hex').slice(0, 12);
}
