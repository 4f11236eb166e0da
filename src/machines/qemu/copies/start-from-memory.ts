/**
 * Lets a machine go on from a snapshot's memory: with the devices the snapshot's machine had, and a copy of its memory that
 * is its own. Its disks are on top of the snapshot's. The guest gets name, id, card's address, time and random numbers before
 * anybody has its agent (machine-session.ts).
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hostBootId, StrataError } from '#base';
import type { RunningMachine } from '../../engine.ts';
import type { MachineDisk, MachineSpec } from '../../machine.ts';
import { goOnFromState } from '../go-on-from-state.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import { goOnInReadyVmm } from '../ready/go-on-in-ready-vmm.ts';
import { copyLayout } from '../suspended/suspended-command.ts';
import { jailDescriptors } from '../templates/template-shape.ts';
import { diskOnTop, disksNow, layersFolder, readMovedDisks } from './disks-record.ts';
import { linkChain } from './layers.ts';
import { diskBytes, makeOverlay } from './make-overlay.ts';
import { devicesFile, dropSnapshot, forgetSnapshot, goingOnFolder, memoryFile, readSnapshot, type SnapshotRecord } from './snapshot-record.ts';

const limitMs = 60_000;

/** Why this machine cannot go on from it; undefined where it can. */
export async function misfitOfMemory(context: QemuContext, spec: MachineSpec, folder: string, record: SnapshotRecord): Promise<string | undefined> {
  const { memory } = record;
  if (memory === null) return 'it has no memory';
  const [qemuVersion, accelerator, bytes, size] = await Promise.all([context.qemuVersion(), context.accelerator(spec.architecture), sizeOf(devicesFile(folder)), sizeOf(memoryFile(folder))]);
  if (memory.qemuVersion !== qemuVersion) return `it was taken of QEMU ${memory.qemuVersion}, and this is ${qemuVersion}`;
  if (memory.accelerator !== accelerator) return `it was taken under ${memory.accelerator}, and this host now runs it under ${accelerator}`;
  if (memory.hostBootId !== null && memory.hostBootId !== hostBootId()) return 'the host was restarted before its memory was used';
  if (memory.memoryMiB !== spec.memoryMiB || memory.processors !== spec.processors || memory.architecture !== spec.architecture) return 'the machine is wished with other memory or processors than it had';
  if ((memory.mac === null) !== (spec.network === null)) return 'the machine is wished with another network card than it had';
  if (bytes !== memory.stateBytes || size !== memory.memoryMiB * 1024 * 1024) return 'the files with its memory are not as they were written';
  return undefined;
}

const sizeOf = (path: string): Promise<number | undefined> => stat(path).then(({ size }) => size, () => undefined);

/** Undefined where nothing was put there; what cannot be used is dropped, and says why. */
export async function startFromMemory(context: QemuContext, spec: MachineSpec, places: MachinePlaces, signal: AbortSignal | undefined): Promise<{ readonly machine: RunningMachine } | { readonly why: string } | undefined> {
  const folder = goingOnFolder(places);
  const record = await readSnapshot(folder);
  if (record === 'none') return undefined;
  const why = record === 'damaged' ? 'what was written of it is damaged' : await misfitOfMemory(context, spec, folder, record);
  const gone = why !== undefined || record === 'damaged' ? { why: why ?? '' } : await goOn(context, spec, places, record, signal);
  if ('machine' in gone) return gone;
  context.log.warn({ machineId: spec.id, why: gone.why }, 'the memory of a snapshot cannot be used and is dropped');
  await dropSnapshot(folder);
  return { why: `the memory of its snapshot was dropped: ${gone.why}` };
}

async function goOn(context: QemuContext, spec: MachineSpec, places: MachinePlaces, kept: SnapshotRecord, signal: AbortSignal | undefined): Promise<{ readonly machine: RunningMachine } | { readonly why: string }> {
  const folder = goingOnFolder(places);
  const disksOf = () => openedDisks(spec, places, folder, kept);
  const state = { from: 'the state of its snapshot', limitMs, forget: () => forgetSnapshot(folder), drop: () => dropSnapshot(folder) };
  const machine = await goOnInReadyVmm(context, spec, places, { id: kept.id, folder }, disksOf, { ...state, isThere: async () => typeof await readSnapshot(folder) !== 'string' }, signal);
  if (machine !== undefined) return { machine };
  return goOnFromState(context, spec, places, {
    ...state, way: 'snapshot', failed: 'did not go on from its snapshot', advice: 'its snapshot is kept; it is tried again', description: { ownDescriptors: jailDescriptors },
    async open() {
      const { memory } = kept;
      if (memory === null) throw new StrataError('the snapshot has no memory', { code: 'machine.noMemory', kind: 'internal' });
      const disks = await disksOf();
      const devices = { ...memory, layout: copyLayout(memory.layout), mac: spec.network?.mac ?? null, disks: disks.map((one) => ({ ...one, sizeBytes: 0, modifiedMs: 0 })) };
      return { devices, source: { state: devicesFile(folder), memory: memoryFile(folder) } };
    },
  }, signal);
}

/** In the places they had; those of the wish where their content lies now, the scratch disk on top of the snapshot's. */
async function openedDisks(spec: MachineSpec, places: MachinePlaces, folder: string, kept: SnapshotRecord): Promise<readonly { readonly disk: MachineDisk; readonly scsiId: number }[]> {
  const now = disksNow(spec, await readMovedDisks(places));
  const opened = [];
  for (const { serial, scsiId, layers, path, format } of kept.disks) {
    const wished = now.find((disk) => disk.serial === serial);
    const disk = wished ?? (path === null ? await scratchOnTop(serial, places, folder, layers) : { serial, path, format, readOnly: true });
    opened.push({ disk, scsiId: scsiId ?? 0 });
  }
  return opened;
}

async function scratchOnTop(serial: string, places: MachinePlaces, folder: string, layers: SnapshotRecord['disks'][number]['layers']): Promise<MachineDisk> {
  const below = await linkChain(layers.map(({ file, format }) => ({ path: join(folder, file), format })), layersFolder(places));
  const [first] = below;
  if (first === undefined) throw new StrataError(`the snapshot has nothing of the disk ${serial}`, { code: 'machine.stateRefused', kind: 'unavailable' });
  const top = join(layersFolder(places), `top-${serial}-going-on`);
  await rm(top, { force: true });
  await makeOverlay(top, await diskBytes(first), { lasting: false });
  return diskOnTop(serial, top, below);
}
