/**
 * Where the content of a machine's disks lies now, once it was copied: a file of its own on top of layers that it shares.
 * Written before anything is written on top, while the new file is empty: the record is right before and after the switch.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { atomicWrite, StrataError } from '#base';
import type { MachineDisk, MachineSpec } from '../../machine.ts';
import { machineDiskSchema } from '../../machine.ts';
import { keepOnly, type Layer, type LayerPlaces } from './layers.ts';
import { dropUnrecorded } from './snapshot-record.ts';

/** By serial; `of` is the file that the wish names: another one there is another disk. */
const movedDisksSchema = z.record(z.string(), z.strictObject({ of: z.string(), disk: machineDiskSchema }));

export type MovedDisks = z.infer<typeof movedDisksSchema>;

const recordFile = (places: LayerPlaces): string => join(places.stateFolder, 'disks.json');
export const layersFolder = (places: LayerPlaces): string => join(places.stateFolder, 'layers');

export async function readMovedDisks(places: LayerPlaces): Promise<MovedDisks> {
  const text = await readFile(recordFile(places), 'utf8').catch((cause: NodeJS.ErrnoException) => { if (cause.code === 'ENOENT') return undefined; throw cause; });
  if (text === undefined) return {};
  try { return movedDisksSchema.parse(JSON.parse(text)); } catch (cause) {
    // To start it from the files that the wish names would let it write into what others share.
    throw new StrataError(`what says where the disks of a machine lie is damaged: ${recordFile(places)}`, { code: 'machine.disksLost', kind: 'unavailable', cause, advice: 'restore it from a backup, or restore a snapshot of the machine' });
  }
}

export async function writeMovedDisks(places: LayerPlaces, moved: MovedDisks): Promise<void> {
  await atomicWrite(recordFile(places), JSON.stringify(moved));
}

/** The disks of the wish as they are to be opened. Pure. */
export function disksNow(spec: Pick<MachineSpec, 'disks'>, moved: MovedDisks): readonly MachineDisk[] {
  return spec.disks.map((disk) => {
    const one = moved[disk.serial];
    return one === undefined || one.of !== disk.path || disk.readOnly ? disk : one.disk;
  });
}

/** The wish with its disks where they lie now; what a boot does not need any more is removed. */
export async function withDisksNow<T extends Pick<MachineSpec, 'disks'>>(places: LayerPlaces, spec: T): Promise<T> {
  const disks = disksNow(spec, await readMovedDisks(places));
  await dropUnrecorded(places);
  await keepOnly(layersFolder(places), disks.flatMap((disk) => [disk.path, ...(disk.backing ?? []).map((one) => one.path)]));
  return { ...spec, disks: [...disks] };
}

export function diskOnTop(serial: string, top: string, below: readonly Layer[]): MachineDisk {
  return { serial, path: top, format: 'qcow2', readOnly: false, backing: below.map(({ path, format }) => ({ path, format })) };
}
