/**
 * Puts a snapshot onto a machine that does not run: the one it was taken of, or a new one. Its disks begin on top of the
 * snapshot's layers; with memory, the next start goes on from it. Cut off anywhere, it is put again.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint } from '#base';
import type { MachineDisk, MachineSpec } from '../../machine.ts';
import { dropSuspended } from '../suspended/suspended-record.ts';
import { diskOnTop, disksNow, layersFolder, readMovedDisks, writeMovedDisks, type MovedDisks } from './disks-record.ts';
import { flatten } from './flatten-disk.ts';
import { chainOfDisk, linkChain, type LayerPlaces } from './layers.ts';
import { diskBytes, makeOverlay } from './make-overlay.ts';
import { dropSnapshot, goingOnFolder, linkSnapshot, type SnapshotRecord } from './snapshot-record.ts';

export interface KeptSnapshot { readonly folder: string; readonly record: SnapshotRecord }

/** Onto the machine it was taken of. */
export async function restoreSnapshot(kept: KeptSnapshot, places: LayerPlaces, spec: MachineSpec): Promise<void> {
  await clear(places);
  const before = await readMovedDisks(places).catch((): MovedDisks => ({})); // damaged: this mends it
  // Not a file that is in use, on top or below: until the record says otherwise, they are the machine's disk.
  const used = disksNow(spec, before).flatMap(chainOfDisk).map(({ path }) => path);
  const laid = await layDisks(kept, places, (serial) => unused(used, (at) => top(places, serial, `put-${at}`)), false);
  failpoint('machines.qemu.beforePut');
  const moved: MovedDisks = { ...before };
  for (const wished of spec.disks) {
    const disk = laid.get(wished.serial);
    if (disk !== undefined) moved[wished.serial] = { of: wished.path, disk };
  }
  if (Object.keys(moved).length > 0) await writeMovedDisks(places, moved);
  failpoint('machines.qemu.disksPut');
  if (kept.record.memory !== null) await linkSnapshot(kept.folder, goingOnFolder(places), kept.record.passing);
}

/** Onto a machine that is new. Its disks, as its wish is to name them. */
export async function cloneSnapshot(kept: KeptSnapshot, places: LayerPlaces, { memory, full }: { readonly memory: boolean; readonly full: boolean }): Promise<readonly MachineDisk[]> {
  await clear(places);
  const laid = await layDisks(kept, places, (serial) => top(places, serial, 'first'), full);
  failpoint('machines.qemu.disksPut');
  if (memory) await linkSnapshot(kept.folder, goingOnFolder(places), kept.record.passing);
  return kept.record.spec.disks.map((disk) => laid.get(disk.serial) ?? disk);
}

function unused(used: readonly string[], pathOf: (at: number) => string): string {
  let at = 0;
  while (used.includes(pathOf(at))) at += 1;
  return pathOf(at);
}

const top = (places: LayerPlaces, serial: string, suffix: string): string => join(layersFolder(places), `top-${serial}-${suffix}`);

async function clear(places: LayerPlaces): Promise<void> {
  await mkdir(layersFolder(places), { recursive: true, mode: 0o700 });
  await dropSuspended(places);
  await dropSnapshot(goingOnFolder(places));
}

/** By serial, without the scratch disk, which belongs to the memory. */
async function layDisks({ folder, record }: KeptSnapshot, places: LayerPlaces, pathOf: (serial: string) => string, full: boolean): Promise<ReadonlyMap<string, MachineDisk>> {
  const laid = new Map<string, MachineDisk>();
  for (const { serial, layers } of record.disks.filter((one) => one.layers.length > 0 && one.serial !== 'scratch')) {
    const chain = layers.map(({ file, format }) => ({ path: join(folder, file), format }));
    const path = pathOf(serial);
    if (full) {
      await flatten(chain, path);
      laid.set(serial, { serial, path, format: 'qcow2', readOnly: false });
      continue;
    }
    const below = await linkChain(chain, layersFolder(places));
    await makeOverlay(path, await diskBytes(below[0] ?? { path, format: 'raw' }));
    laid.set(serial, diskOnTop(serial, path, below));
  }
  return laid;
}
