/** Disks of machines: what is refused, and the operations that do the rest. */
import { newId, StrataError } from '#base';
import type { DiskClone, Machine } from '#contract';
import type { MachineSpec, Snapshot } from '#machines';
import type { Backend } from '../backend.ts';
import { diskCloneBody, diskCopyBody, diskRemovalBody, diskRestoreBody, diskSnapshotBody, type DiskCloneInput, type DiskCopyInput, type DiskSnapshotInput } from './disk-operations.ts';
import { findByHandle } from './find-record.ts';
import type { Layers } from './layers.ts';
import { timeOf } from './show-machine.ts';
import { becauseOfItsApp, refuseOwned } from './refuse-owned.ts';
import { showOperation } from './show-operation.ts';

/** What the new machine's disks may take at once; they grow as they are written. */
const diskBytesNow = 1024 ** 3;

/** @param show the machine by name or id */
export function disksBackend(layers: Layers, show: (handle: string) => Promise<Machine>): Backend['disks'] {
  const { machines, operations, dice } = layers;

  const find = async (handle: string): Promise<MachineSpec> => findByHandle('machine', handle, (await machines.specs.list()).map((one) => one.value));
  async function mine(handle: string): Promise<MachineSpec> {
    const spec = await find(handle);
    await refuseOwned(layers, spec, { why: becauseOfItsApp, advice: 'copy disks of machines that were made by hand' });
    return spec;
  }
  async function snapshotOf(spec: MachineSpec, disk: string, handle: string): Promise<Snapshot> {
    const found = (await machines.disks.list(spec.id, disk)).find((one) => one.name === handle || one.id === handle);
    if (found === undefined) throw new StrataError(`the disk ${disk} of machine ${spec.name} has no snapshot ${handle}`, { code: 'machine.snapshotNotFound', kind: 'notFound', advice: `see \`strata disk snapshot ls ${spec.name} ${disk}\`` });
    return found;
  }
  async function begin(kind: 'disk.restore' | 'disk.forget', body: typeof diskRestoreBody, handle: string, disk: string, snapshot: string) {
    const spec = await mine(handle);
    const { id, name, disks, memory } = await snapshotOf(spec, disk, snapshot);
    const whole = memory ? 'its memory with its disks' : disks.length > 1 ? `the disks ${disks.join(', ')}` : undefined;
    if (kind === 'disk.forget' && whole !== undefined) throw new StrataError(`the snapshot ${name} of machine ${spec.name} holds ${whole}`, { code: 'machine.notPermitted', kind: 'refused', advice: `\`strata machine snapshot rm ${spec.name} ${name}\` removes all of it` });
    const input: DiskSnapshotInput = { machineId: spec.id, disk, snapshotId: id, name };
    return showOperation(await operations.start(kind, `${spec.name}/${disk}`, body(layers, input), { input, exclusive: true }));
  }

  return {
    async grow(handle, disk, bytes) {
      await machines.disks.grow((await find(handle)).id, disk, bytes);
      return show(handle);
    },
    async copy(handle, disk, { path, snapshot }) {
      const spec = await find(handle);
      const kept = snapshot === undefined ? undefined : await snapshotOf(spec, disk, snapshot);
      await machines.disks.checkCopy(spec.id, disk, path, kept?.id);
      const input: DiskCopyInput = { machineId: spec.id, disk, path, ...(kept === undefined ? {} : { snapshotId: kept.id }) };
      return showOperation(await operations.start('disk.copy', `${spec.name}/${disk}`, diskCopyBody(layers, input), { input }));
    },
    async snapshots(handle, disk) {
      const spec = await mine(handle);
      return (await machines.disks.list(spec.id, disk)).map(({ id, name, memory, disks, createdAt }) => ({ id, name, machine: spec.name, memory, disks: [...disks], createdAt: timeOf(createdAt) }));
    },
    async takeSnapshot(handle, disk, wished) {
      const spec = await mine(handle);
      const names = (await machines.disks.list(spec.id, disk)).map((one) => one.name);
      let at = 1;
      while (names.includes(`snap-${at}`)) at += 1;
      const name = wished ?? `snap-${at}`;
      if (names.includes(name)) throw new StrataError(`the disk ${disk} of machine ${spec.name} has a snapshot ${name} already`, { code: 'machine.snapshotNameTaken', kind: 'conflict', advice: 'choose another name, or remove it first' });
      const input: DiskSnapshotInput = { machineId: spec.id, disk, snapshotId: newId('snapshot', dice), name };
      return showOperation(await operations.start('disk.snapshot', `${spec.name}/${disk}`, diskSnapshotBody(layers, input), { input, exclusive: true }));
    },
    restoreSnapshot: (handle, disk, snapshot) => begin('disk.restore', diskRestoreBody, handle, disk, snapshot),
    removeSnapshot: (handle, disk, snapshot) => begin('disk.forget', diskRemovalBody, handle, disk, snapshot),
    async clone(handle, disk, { name, snapshot, full, architecture, engine, backend, start }: DiskClone) {
      const spec = await mine(handle);
      const of = spec.disks.find((one) => one.serial === disk);
      if (of === undefined) throw new StrataError(`machine ${spec.name} has no disk ${disk}`, { code: 'disk.notFound', kind: 'notFound', advice: `it has: ${spec.disks.map((one) => one.serial).join(', ') || 'none'}` });
      const kept = snapshot === undefined ? undefined : await snapshotOf(spec, disk, snapshot);
      if ((await machines.specs.list()).some((one) => one.value.name === name)) throw new StrataError(`machine ${name} exists already`, { code: 'machine.nameTaken', kind: 'conflict', advice: 'choose another name, or remove it first' });
      const wish = { name, architecture: architecture ?? spec.architecture, engine: engine ?? spec.engine, processors: spec.processors, memoryMiB: spec.memoryMiB, scratchMiB: spec.scratchMiB };
      const served = backend === undefined ? of.backend !== undefined : backend === 'vhost-user';
      await layers.host.checkSizes([{ ...wish, diskBytes: diskBytesNow }]);
      await machines.checkEngines({ ...wish, boot: { kind: 'guest-os' }, disks: [of] });
      const passing = kept === undefined && await machines.disks.cloneNeedsSnapshot(spec.id, disk, full);
      if (!full && !served && wish.engine === 'uml') throw new StrataError(`the engine uml opens disks as plain files, and a clone that shares layers is none`, { code: 'machine.engineCannot', kind: 'refused', advice: 'add --full, or --backend vhost-user' });
      if (start) {
        await layers.machines.proofs();
        await layers.host.refresh();
        await layers.host.admit({ ...wish, diskBytes: diskBytesNow });
      }
      const input: DiskCloneInput = { machineId: spec.id, disk, snapshotId: passing ? newId('snapshot', dice) : kept?.id, passing, cloneId: newId('machine', dice), full, served, wish, start };
      return showOperation(await operations.start('disk.clone', name, diskCloneBody(layers, input), { input, exclusive: true }));
    },
  };
}
