/**
 * What a template and its clones must have in common, and the key made of it. Whatever changes it, changes the key, so
 * that a template is used by machines it fits and by no others. Pure.
 */
import { createHash } from 'node:crypto';
import type { Architecture } from '#base';
import type { MachineSpec } from '../../machine.ts';
import { bootArguments, commonDevices, descriptorList, devicesAlone, platform, size, tscWord } from '../command-line.ts';

export interface TemplateShape {
  readonly architecture: Architecture;
  readonly accelerator: 'kvm' | 'tcg';
  readonly processors: number;
  readonly memoryMiB: number;
  /** 0: none. */
  readonly scratchMiB: number;
  readonly card: boolean;
  readonly qemuVersion: string;
  readonly guestOsVersion: string;
}

/** Port for the card: one that is plugged in and one that was there from the start lie in the same place. */
export const cardPort = 'port-card';
/** Where a jailed VMM sees its own descriptors. */
export const jailDescriptors = '/fd';

/** Memory that a VMM maps by a descriptor. `folder`: where it sees its descriptors, if it is in no jail. 'own': nobody else's, as of a machine that goes on from its suspended state. */
export type MemorySource = { readonly descriptor: number; readonly share: boolean; readonly folder?: string } | 'own';

export function memoryObject(memoryMiB: number, memory: MemorySource): string {
  if (memory === 'own') return `memory-backend-ram,id=memory,size=${memoryMiB}M`;
  return `memory-backend-file,id=memory,size=${memoryMiB}M,mem-path=${memory.folder ?? jailDescriptors}/${memory.descriptor},share=${memory.share ? 'on' : 'off'}`;
}

/**
 * @param kernelArguments only QEMU that boots the guest reads kernel and initramfs; a clone has them in its memory
 */
export function shapeArguments(shape: TemplateShape, memory: MemorySource, devices: readonly string[], kernelArguments: readonly string[]): string[] {
  return [
    ...platform(shape.architecture, shape.accelerator, ',memory-backend=memory'), ...size(shape),
    '-object', memoryObject(shape.memoryMiB, memory),
    ...kernelArguments, ...devices,
    '-device', `pcie-root-port,id=${cardPort},chassis=1,slot=1`,
  ];
}

export function shapeOf(spec: Pick<MachineSpec, 'architecture' | 'processors' | 'memoryMiB' | 'scratchMiB' | 'network'>, accelerator: 'kvm' | 'tcg', qemuVersion: string, guestOsVersion: string): TemplateShape {
  return { architecture: spec.architecture, accelerator, processors: spec.processors, memoryMiB: spec.memoryMiB, scratchMiB: spec.scratchMiB, card: spec.network !== null, qemuVersion, guestOsVersion };
}

/** The counter's speed is no part of the shape: measured anew it differs by a little, and a template lives no longer than its host runs. */
export const bootWords = (shape: TemplateShape, tscKhz?: number): string[] => bootArguments(shape.architecture, shape.accelerator, { scratch: shape.scratchMiB > 0, disks: shape.scratchMiB > 0 ? 1 : 0, cardLater: true, ...tscWord(tscKhz) });

/** Twelve hex digits: part of a folder, of an id, of a socket's path. */
export function templateKey(shape: TemplateShape): string {
  const words = [shape.qemuVersion, shape.guestOsVersion, shape.architecture, shape.card, shape.scratchMiB, ...shapeArguments(shape, { descriptor: 0, share: true }, commonDevices(descriptorList().add), bootWords(shape)), ...devicesAlone];
  return createHash('sha256').update(JSON.stringify(words)).digest('hex').slice(0, 12);
}

/** Two shapes that differ in nothing but versions: the newer one's template replaces the older one's. */
export function isSameButVersions(one: TemplateShape, other: TemplateShape): boolean {
  return templateKey({ ...one, qemuVersion: '', guestOsVersion: '' }) === templateKey({ ...other, qemuVersion: '', guestOsVersion: '' });
}
