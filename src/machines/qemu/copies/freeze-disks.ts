/**
 * Freezes the disks of a machine: a new, empty file goes on top of each that is written, and what was written until then
 * becomes a layer. For one that runs QEMU switches, while it stands still; the files are made and handed in before.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint, StrataError } from '#base';
import { passDisks, type PassedDisk } from '../../launcher/index.ts';
import type { MachineSpec } from '../../machine.ts';
import { layerNode, setPath } from '../drives.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { PluggedDisks } from '../plugged-disks.ts';
import type { Monitor } from '../qmp/open-monitor.ts';
import type { RunningDisk } from '../suspended/list-disks.ts';
import { diskOnTop, disksNow, layersFolder, readMovedDisks, writeMovedDisks, type MovedDisks } from './disks-record.ts';
import { chainOfDisk, mostLayers, type Layer, type LayerPlaces } from './layers.ts';
import { diskBytes, makeOverlay } from './make-overlay.ts';

/** A disk as it is frozen: what it was, and what is on top of it from then on. */
export interface FrozenDisk { readonly serial: string; readonly layers: readonly Layer[] }

interface Overlay { readonly serial: string; readonly layers: readonly Layer[]; readonly path: string; readonly under: string; readonly node: string }

export interface Freezing {
  /** Of the file for its devices; 0 where none was wished. */
  readonly devicesSet: number;
  /** While the machine stands still. */
  freeze(): Promise<readonly FrozenDisk[]>;
  /** Where it was not frozen. */
  undo(): Promise<void>;
}

/**
 * Makes what goes on top; nothing is frozen yet. All that QEMU is to write into is handed in by one program.
 * @param devices the new file for the state of its devices, where that is wished
 */
export async function prepareFreeze(parts: { readonly places: MachinePlaces; readonly spec: MachineSpec; readonly monitor: Monitor; readonly launcher: string; readonly handInto: PluggedDisks['handInto'] }, disks: readonly RunningDisk[], suffix: string, devices?: string): Promise<Freezing> {
  const { places, spec, monitor, launcher } = parts;
  const overlays: Overlay[] = [];
  await mkdir(layersFolder(places), { recursive: true, mode: 0o700 });
  const undo = async () => { for (const { node } of overlays) await monitor.execute('blockdev-del', { 'node-name': node }).catch(() => undefined); };
  const written = disks.filter((one) => !one.disk.readOnly).map(({ disk: { serial }, disk, nodes }) => ({
    serial, layers: checkedChain(spec, serial, chainOfDisk(disk)), path: newTop(places, serial, suffix), under: nodes[0] as string, node: `o${highest(nodes) + 1}-${serial}`,
  }));
  await Promise.all(written.map(async ({ serial, layers, path }) => makeOverlay(path, await diskBytes(layers[0] as Layer), { lasting: serial !== 'scratch' })));
  const firstSet = await parts.handInto((first) => {
    const passed: PassedDisk[] = written.map(({ path }, at) => ({ set: first + at, path, readOnly: false }));
    if (devices !== undefined) passed.push({ set: first + written.length, path: devices, readOnly: false, isNew: true });
    return passDisks(launcher, places.passing, passed);
  });
  const devicesSet = devices === undefined ? 0 : firstSet + written.length;
  try {
    for (const [at, overlay] of written.entries()) {
      await monitor.execute('blockdev-del', { 'node-name': overlay.node }).catch(() => undefined); // of an attempt that was cut off
      await monitor.execute('blockdev-add', layerNode('qcow2', false, overlay.node, setPath(firstSet + at), null));
      overlays.push(overlay);
    }
    await record(places, spec, overlays);
  } catch (thrown) {
    await undo();
    throw thrown;
  }
  failpoint('machines.qemu.beforeFreeze');
  return {
    devicesSet, undo,
    async freeze() {
      for (const { under, node } of overlays) await monitor.execute('blockdev-snapshot', { node: under, overlay: node });
      failpoint('machines.qemu.frozen');
      return overlays.map(({ serial, layers }) => ({ serial, layers }));
    },
  };
}

/** The same for a machine that does not run: its next start opens the new files. */
export async function freezeStopped(places: MachinePlaces, spec: MachineSpec, suffix: string): Promise<readonly FrozenDisk[]> {
  const overlays: { readonly serial: string; readonly layers: readonly Layer[]; readonly path: string }[] = [];
  await mkdir(layersFolder(places), { recursive: true, mode: 0o700 });
  for (const disk of disksNow(spec, await readMovedDisks(places)).filter((one) => !one.readOnly)) {
    const layers = checkedChain(spec, disk.serial, chainOfDisk(disk));
    const path = newTop(places, disk.serial, suffix);
    await makeOverlay(path, await diskBytes(layers[0] as Layer));
    overlays.push({ serial: disk.serial, layers, path });
  }
  failpoint('machines.qemu.beforeFreeze');
  await record(places, spec, overlays);
  failpoint('machines.qemu.frozen');
  return overlays.map(({ serial, layers }) => ({ serial, layers }));
}

export const newTop = (places: LayerPlaces, serial: string, suffix: string): string => join(layersFolder(places), `top-${serial}-${suffix}`);

/** Number of the newest overlay among nodes of one disk. */
const highest = (nodes: readonly string[]): number => Math.max(0, ...nodes.map((name) => Number(/^o(\d+)-/.exec(name)?.[1] ?? 0)));

/** Only disks of the wish outlive a boot; the scratch disk does not. */
async function record(places: MachinePlaces, spec: MachineSpec, overlays: readonly { readonly serial: string; readonly layers: readonly Layer[]; readonly path: string }[]): Promise<void> {
  const moved: MovedDisks = { ...await readMovedDisks(places) };
  for (const { serial, layers, path } of overlays) {
    const wished = spec.disks.find((disk) => disk.serial === serial);
    if (wished !== undefined) moved[serial] = { of: wished.path, disk: diskOnTop(serial, path, layers) };
  }
  if (Object.keys(moved).length > 0) await writeMovedDisks(places, moved);
}

export function checkedChain(spec: MachineSpec, serial: string, chain: readonly Layer[]): readonly Layer[] {
  if (chain.length < mostLayers) return chain;
  throw new StrataError(`the disk ${serial} of machine ${spec.name} lies on ${chain.length} layers already`, { code: 'machine.tooManyLayers', kind: 'refused', advice: `\`strata machine clone ${spec.name} <new> --full\` makes one without layers` });
}
