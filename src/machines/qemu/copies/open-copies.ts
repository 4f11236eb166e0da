/** Snapshots and clones of machines that do not run, as the port wants them. */
import { StrataError } from '#base';
import type { MachineSpec } from '../../machine.ts';
import type { EngineCopies, Snapshot } from '../../snapshots.ts';
import { machinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import { cloneSnapshot, restoreSnapshot, type KeptSnapshot } from './put-snapshot.ts';
import { dropSnapshot, listSnapshots, readSnapshot, snapshotFolder, type SnapshotRecord } from './snapshot-record.ts';
import { misfitOfMemory } from './start-from-memory.ts';
import { takeStopped } from './take-snapshot.ts';

export function openCopies(context: QemuContext): EngineCopies {
  const placesOf = (id: string) => machinePlaces(context.instance, id);

  async function find(machineId: string, snapshotId: string): Promise<KeptSnapshot> {
    const folder = snapshotFolder(placesOf(machineId), snapshotId);
    const record = await readSnapshot(folder);
    if (typeof record === 'string') throw new StrataError(`the snapshot ${snapshotId} is ${record === 'none' ? 'gone' : 'damaged'}`, { code: 'machine.snapshotNotFound', kind: 'notFound', advice: 'see `strata machine snapshot ls`' });
    return { folder, record };
  }
  async function refuseUnusable({ folder, record }: KeptSnapshot, spec: MachineSpec): Promise<void> {
    const why = await misfitOfMemory(context, spec, folder, record);
    if (why !== undefined) throw new StrataError(`the memory of snapshot ${record.name} cannot be used: ${why}`, { code: 'machine.snapshotUnusable', kind: 'refused', advice: 'what it has of disks can still be cloned' });
  }

  return {
    placesOf,
    take: (spec, wish) => takeStopped(context, spec, placesOf(spec.id), wish),
    list: async (machineId) => (await listSnapshots(placesOf(machineId))).map(shown),
    async restore(spec, snapshotId) {
      const kept = await find(spec.id, snapshotId);
      if (kept.record.memory !== null) await refuseUnusable(kept, spec);
      await restoreSnapshot(kept, placesOf(spec.id), spec);
    },
    async remove(machineId, snapshotId) { await dropSnapshot(snapshotFolder(placesOf(machineId), snapshotId)); },
    async misfit(spec, snapshotId) {
      const folder = snapshotFolder(placesOf(spec.id), snapshotId);
      const record = await readSnapshot(folder);
      return typeof record === 'string' ? `the snapshot is ${record === 'none' ? 'gone' : 'damaged'}` : misfitOfMemory(context, spec, folder, record);
    },
    async clone(fromId, snapshotId, spec, wish) {
      const kept = await find(fromId, snapshotId);
      if (wish.memory) await refuseUnusable(kept, spec);
      return cloneSnapshot(kept, placesOf(spec.id), wish);
    },
  };
}

const shown = ({ id, name, createdAt, memory, passing, spec, disks }: SnapshotRecord): Snapshot => ({
  id, name, machineId: spec.id, createdAt, memory: memory !== null, passing, disks: disks.filter((one) => one.layers.length > 0 && one.serial !== 'scratch').map((one) => one.serial),
});
