/** QEMU's command line for a machine that goes on from its suspended state: the devices it had, in the places they had. Pure. */
import { createHash } from 'node:crypto';
import { cardArguments, commonDevices, descriptorList, devicesAlone, diskArguments, opening, platform, qemuProgram, size, type VmmCommand } from '../command-line.ts';
import { cardPort, memoryObject, shapeArguments, type TemplateShape } from '../templates/template-shape.ts';
import type { Layout, SuspendedRecord } from './suspended-record.ts';

export interface SuspendedCommand extends VmmCommand {
  /** The descriptor it reads its state from. */
  readonly state: number;
  /** The descriptor of its memory; undefined where that is in the state. */
  readonly guestMemory: number | undefined;
}

/** What its devices depend on. */
export type SuspendedDevices = Omit<SuspendedRecord, 'devices' | 'stateBytes' | 'at'>;

export interface StateSource {
  /** The file with its devices, and its memory where `memory` does not say another; null: filled later. */
  readonly state: string | null;
  readonly memory?: string | null;
  readonly tap: string | null;
}

const isCopy = (layout: Layout): boolean => layout.endsWith('-copy');
/** Of a machine that goes on from a snapshot of one with this layout. */
export const copyLayout = (layout: Layout): Layout => (isOfTemplate(layout) ? 'template-copy' : 'cold-copy');

const isOfTemplate = (layout: Layout): boolean => layout.startsWith('template');

function layoutArguments(record: SuspendedDevices, shape: TemplateShape, memory: 'own' | { readonly descriptor: number; readonly share: boolean }, devices: readonly string[]): string[] {
  if (isOfTemplate(record.layout)) return shapeArguments(shape, memory, devices, []);
  if (!isCopy(record.layout)) return [...platform(record.architecture, record.accelerator), ...size(record), ...devices];
  return [...platform(record.architecture, record.accelerator, ',memory-backend=memory'), ...size(record), '-object', memoryObject(record.memoryMiB, memory), ...devices];
}

export function suspendedCommand(record: SuspendedDevices, name: string, from: StateSource): SuspendedCommand {
  const { descriptors, add } = descriptorList();
  const state = add(from.state === null ? { kind: 'empty-state' } : { kind: 'disk-ro', path: from.state });
  const descriptor = from.memory === undefined ? undefined : add(from.memory === null ? { kind: 'empty-memory', bytes: record.memoryMiB * 1024 * 1024 } : { kind: 'copied-memory', path: from.memory });
  const memory = descriptor === undefined ? 'own' : { descriptor, share: true };
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
  return { program: qemuProgram(record.architecture), argv, descriptors, state, guestMemory: descriptor };
}

/** Twelve hex digits that change with the devices and with how this program lays them. */
export function devicesKey(record: SuspendedDevices): string {
  const { argv } = suspendedCommand(record, '', { state: '', tap: record.mac === null ? null : '' });
  return createHash('sha256').update(JSON.stringify(argv)).digest('hex').slice(0, 12);
}
