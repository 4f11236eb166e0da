/** Snapshots, clones and forks of machines: what is refused, and the operations that do the rest. */
import { newId, StrataError } from '#base';
import type { Snapshot as SnapshotView } from '#contract';
import type { MachineSpec, Snapshot } from '#machines';
import type { Backend } from '../backend.ts';
import { cloneBody, restoreBody, snapshotBody, type CloneInput, type RestoreInput, type SnapshotInput } from './copy-operations.ts';
import { diskMergeBody, type DiskMergeInput } from './disk-operations.ts';
import type { Layers } from './layers.ts';
import { becauseOfItsApp, refuseOwned } from './refuse-owned.ts';
import { timeOf } from './show-machine.ts';
import { showOperation } from './show-operation.ts';

export type CopiesBackend = Pick<Backend['machines'], 'snapshots' | 'takeSnapshot' | 'restoreSnapshot' | 'removeSnapshot' | 'clone' | 'fork'>;
export type CopyAction = 'snapshot' | 'restore' | 'clone' | 'fork';

/** What its disks may take at once; they grow as they are written. */
const diskBytesNow = 1024 ** 3;

/** @param find the machine by name or id, where it permits the action; null: any action */
export function copiesBackend(layers: Layers, find: (handle: string, action: CopyAction | null) => Promise<MachineSpec>): CopiesBackend {
  const { machines, operations, dice } = layers;

  async function permitted(handle: string, action: CopyAction | null): Promise<MachineSpec> {
    const spec = await find(handle, action);
    await refuseOwned(layers, spec, { why: becauseOfItsApp, advice: 'copy machines that were made by hand' });
    return spec;
  }
  async function snapshotOf(spec: MachineSpec, handle: string): Promise<Snapshot> {
    const found = (await machines.copies.list(spec.id)).find((one) => one.name === handle || one.id === handle);
    if (found === undefined) throw new StrataError(`machine ${spec.name} has no snapshot ${handle}`, { code: 'machine.snapshotNotFound', kind: 'notFound', advice: `see \`strata machine snapshot ls ${spec.name}\`` });
    return found;
  }
  const show = (spec: MachineSpec, { id, name, memory, disks, createdAt }: Snapshot): SnapshotView => ({ id, name, machine: spec.name, memory, disks: [...disks], createdAt: timeOf(createdAt) });

  async function startClone(spec: MachineSpec, input: Omit<CloneInput, 'machineId' | 'cloneId'>, kind: 'machine.clone' | 'machine.fork') {
    const { name } = input;
    if ((await machines.specs.list()).some((one) => one.value.name === name)) throw new StrataError(`machine ${name} exists already`, { code: 'machine.nameTaken', kind: 'conflict', advice: 'choose another name, or remove it first' });
    if (input.start) {
      await layers.host.refresh();
      await layers.host.admit({ name, architecture: spec.architecture, processors: spec.processors, memoryMiB: spec.memoryMiB, diskBytes: diskBytesNow, engine: spec.engine });
    }
    const whole: CloneInput = { ...input, machineId: spec.id, cloneId: newId('machine', dice) };
    return showOperation(await operations.start(kind, name, cloneBody(layers, whole), { input: whole, exclusive: true }));
  }

  return {
    async snapshots(handle) {
      const spec = await permitted(handle, null);
      return (await machines.copies.list(spec.id)).map((one) => show(spec, one));
    },
    async takeSnapshot(handle, wish) {
      const spec = await permitted(handle, 'snapshot');
      const names = (await machines.copies.list(spec.id)).map((one) => one.name);
      let at = 1;
      while (names.includes(`snap-${at}`)) at += 1;
      const name = wish.name ?? `snap-${at}`;
      if (names.includes(name)) throw new StrataError(`machine ${spec.name} has a snapshot ${name} already`, { code: 'machine.snapshotNameTaken', kind: 'conflict', advice: 'choose another name, or remove it first' });
      const input: SnapshotInput = { machineId: spec.id, snapshotId: newId('snapshot', dice), name, memory: wish.memory };
      return showOperation(await operations.start('machine.snapshot', spec.name, snapshotBody(layers, input), { input, exclusive: true }));
    },
    async restoreSnapshot(handle, snapshot) {
      const spec = await permitted(handle, 'restore');
      const input: RestoreInput = { machineId: spec.id, snapshotId: (await snapshotOf(spec, snapshot)).id };
      return showOperation(await operations.start('machine.restore', spec.name, restoreBody(layers, input), { input, exclusive: true }));
    },
    async removeSnapshot(handle, snapshot) {
      const spec = await permitted(handle, null);
      const found = await snapshotOf(spec, snapshot);
      await machines.copies.remove(spec.id, found.id);
      for (const disk of found.disks.filter((serial) => spec.disks.some((one) => one.serial === serial))) {
        const input: DiskMergeInput = { machineId: spec.id, disk };
        if (await machines.disks.mergeable(spec.id, disk)) await operations.start('disk.merge', `${spec.name}/${disk}`, diskMergeBody(layers, input), { input });
      }
      return show(spec, found);
    },
    async clone(handle, { name, snapshot, full, start }) {
      const spec = await permitted(handle, snapshot === undefined ? 'clone' : null);
      const kept = snapshot === undefined ? undefined : await snapshotOf(spec, snapshot);
      return startClone(spec, { name, full, start, memory: false, passing: kept === undefined, snapshotId: kept?.id ?? newId('snapshot', dice) }, 'machine.clone');
    },
    async fork(handle, name) {
      const spec = await permitted(handle, 'fork');
      return startClone(spec, { name, full: false, start: true, memory: true, passing: true, snapshotId: newId('snapshot', dice) }, 'machine.fork');
    },
  };
}
