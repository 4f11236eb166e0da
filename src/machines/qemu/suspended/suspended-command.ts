/** QEMU's command line for a machine that goes on from its suspended state: the devices it had, in the places they had. Pure. */
import { createHash } from 'node:crypto';
import { cardArguments, commonDevices, descriptorList, devicesAlone, diskArguments, opening, platform, qemuProgram, size, type VmmCommand } from '../command-line.ts';
import { cardPort, memoryObject, shapeArguments, type TemplateShape } from '../templates/template-shape.ts';
import type { Layout, SuspendedRecord } from './suspended-record.ts';

export interface SuspendedCommand extends VmmCommand {
  /** The descriptor it reads its state from. */
  readonly state: number;
}

/** What its devices depend on. */
export type SuspendedDevices = Omit<SuspendedRecord, 'devices' | 'stateBytes' | 'at'>;

export interface StateSource {
  /** The file with its devices, and its memory where `memory` does not say another. */
  readonly state: string;
  readonly memory?: string;
  readonly tap: string | null;
}

const isCopy = (layout: Layout): boolean => layout.endsWith('-copy');
const isOfTemplate = (layout: Layout): boolean => layout.startsWith('template');

function layoutArguments(record: SuspendedDevices, shape: TemplateShape, memory: 'own' | { readonly descriptor: number; readonly share: boolean }, devices: readonly string[]): string[] {
  if (isOfTemplate(record.layout)) return shapeArguments(shape, memory, devices, []);
  if (!isCopy(record.layout)) return [...platform(record.architecture, record.accelerator), ...size(record), ...devices];
  return [...platform(record.architecture, record.accelerator, ',memory-backend=memory'), ...size(record), '-object', memoryObject(record.memoryMiB, memory), ...devices];
}

export function suspendedCommand(record: SuspendedDevices, name: string, from: StateSource): SuspendedCommand {
  const { descriptors, add } = descriptorList();
  const state = add({ kind: 'disk-ro', path: from.state });
  const memory = from.memory === undefined ? 'own' : { descriptor: add({ kind: 'copied-memory', path: from.memory }), share: true };
  const devices = commonDevices(add);
  const shape = { ...record, scratchMiB: 0, card: false, guestOsVersion: '' };
  const argv = [
    ...opening(record.architecture, name),
    ...layoutArguments(record, shape, memory, devices),
    // A state that was written without a migration says of its machine that it ran: this one is to stand still.
    ...(isCopy(record.layout) ? [...devicesAlone, '-S'] : []),
    '-no-reboot', '-incoming', 'defer',
  ];
  if (from.tap !== null && record.mac !== null) argv.push(...cardArguments(add, from.tap, record.mac, isOfTemplate(record.layout) ? cardPort : undefined));
  for (const { disk, scsiId } of record.disks) argv.push(...diskArguments(add, disk, { 'scsi-id': scsiId }));
  return { program: qemuProgram(record.architecture), argv, descriptors, state };
}

/** Twelve hex digits that change with the devices and with how this program lays them. */
export function devicesKey(record: SuspendedDevices): string {
  const { argv } = suspendedCommand(record, '', { state: '', tap: record.mac === null ? null : '' });
  return createHash('sha256').update(JSON.stringify(argv)).digest('hex').slice(0, 12);
}
