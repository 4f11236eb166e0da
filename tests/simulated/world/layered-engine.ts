/**
 * Machines in memory whose disks are files: layers, snapshots and clones are those of QEMU's driver (`qemu/copies`), of
 * machines that do not run. Of those that run a list of files stands for what a VMM has open. Guests write nothing.
 */
import { existsSync } from 'node:fs';
import { link, rename, rm, stat } from 'node:fs/promises';
import { failpoint, StrataError, type Clock, type Instance } from '#base';
import type { Engine, MachineSpec, RunningMachine } from '#machines';
import { fileExists, type DiskOperations } from '../../../src/machines/backends/disk-operations.ts';
import { withDisksNow } from '../../../src/machines/qemu/copies/disks-record.ts';
import { flatten } from '../../../src/machines/qemu/copies/flatten-disk.ts';
import { chainOfDisk, type Layer } from '../../../src/machines/qemu/copies/layers.ts';
import { diskBytes } from '../../../src/machines/qemu/copies/make-overlay.ts';
import { openCopies } from '../../../src/machines/qemu/copies/open-copies.ts';
import { machinePlaces } from '../../../src/machines/qemu/machine-places.ts';
import type { QemuContext } from '../../../src/machines/qemu/qemu-context.ts';

/** What a VMM has open of one disk; it outlives daemons. */
interface OpenDisk { files: readonly Layer[]; bytes: number }
export interface LayeredEngine extends Engine {
  /** The size that the guest sees. */
  sizeOf(machineId: string, serial: string): number | undefined;
  /** The files that the VMM has open, the uppermost first. */
  filesOf(machineId: string, serial: string): readonly Layer[];
}

export function layeredEngine(fake: Engine, { instance, clock }: { readonly instance: Instance; readonly clock: Clock }): LayeredEngine {
  const disks = new Map<string, Map<string, OpenDisk>>();
  const copies = openCopies({ instance, clock } as QemuContext); // without memory it looks at no more of it
  const open = (machineId: string, serial: string): OpenDisk => {
    const found = disks.get(machineId)?.get(serial);
    if (found === undefined) throw new StrataError(`the disk ${serial} is not open`, { code: 'disk.notFound', kind: 'notFound' });
    return found;
  };
  /** It copies disks, not memory. */
  const withDisks = ({ snapshot: _snapshot, ...machine }: RunningMachine): RunningMachine => ({ ...machine, diskOperations: operationsOn((serial) => open(machine.id, serial)) });
  const openAll = async (spec: MachineSpec): Promise<Map<string, OpenDisk>> => new Map(await Promise.all(spec.disks.map(async (disk): Promise<[string, OpenDisk]> => {
    const files = chainOfDisk(disk);
    return [disk.serial, { files, bytes: await diskBytes(files[0] as Layer) }];
  })));

  return {
    ...fake, copies,
    sizeOf: (machineId, serial) => disks.get(machineId)?.get(serial)?.bytes,
    filesOf: (machineId, serial) => disks.get(machineId)?.get(serial)?.files ?? [],
    async start(spec, signal) {
      const now = await withDisksNow(machinePlaces(instance, spec.id), spec);
      const opened = await openAll(now);
      const machine = await fake.start(now, signal);
      disks.set(spec.id, opened);
      return withDisks(machine);
    },
    async adopt(spec) {
      const result = await fake.adopt(spec);
      return result.found === 'running' ? { found: 'running', machine: withDisks(result.machine) } : result;
    },
    async erase(id) {
      await fake.erase(id);
      disks.delete(id);
      await rm(machinePlaces(instance, id).stateFolder, { recursive: true, force: true });
    },
  };
}

function operationsOn(open: (serial: string) => OpenDisk): DiskOperations {
  return {
    sizeBytes: async (serial) => open(serial).bytes,
    files: async (serial) => open(serial).files,
    async grow(serial, bytes) {
      const disk = open(serial);
      if (bytes < disk.bytes) throw new StrataError(`the disk ${serial} cannot shrink`, { code: 'disk.cannotShrink', kind: 'refused' });
      disk.bytes = bytes;
    },
    async copy(serial, path, work = {}) {
      if (existsSync(path)) throw fileExists(path);
      try {
        await flatten(open(serial).files, `${path}.new`, 'raw', work.signal);
        await link(`${path}.new`, path);
      } finally {
        await rm(`${path}.new`, { force: true });
      }
    },
    async putOnTop(serial, path) {
      const disk = open(serial);
      await stat(path);
      disk.files = [{ path, format: 'qcow2' }, ...disk.files];
    },
    async merge(serial, layers, path) {
      await stat(path);
      return {
        async putInPlace() {
          failpoint('disk.putInPlace.before');
          const disk = open(serial);
          const at = disk.files.findIndex((one) => one.path === layers[0]);
          if (at < 1 || !layers.every((one, index) => disk.files[at + index]?.path === one)) return false;
          // They are empty, as the new file is.
          disk.files = [...disk.files.slice(0, at), { path, format: 'qcow2' }, ...disk.files.slice(at + layers.length)];
          failpoint('disk.putInPlace.after');
          return true;
        },
        async drop() { /* nobody has it open */ },
      };
    },
    async pull(serial, keep) {
      const disk = open(serial);
      const [top, ...below] = disk.files;
      if (top === undefined || below.length <= keep) return;
      // What lies between is empty, since nobody writes; the lowest file is not.
      if (keep === 0) {
        await flatten(disk.files, `${top.path}.pulled`);
        await rename(`${top.path}.pulled`, top.path);
      }
      disk.files = [top, ...below.slice(below.length - keep)];
    },
  };
}
