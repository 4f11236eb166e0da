/** The bodies of operations on one disk of a machine, also as they are run again after the daemon died in the middle: every id is chosen before. */
import { asStrataError } from '#base';
import type { MachineSpec } from '#machines';
import { macOfAddress } from '#pool';
import type { OperationBody, OperationRun } from '#reconcile';
import { answers, removePassing, undone } from './copy-operations.ts';
import type { Layers } from './layers.ts';

/** Plain JSON: kept with the operation. */
export interface DiskSnapshotInput { readonly machineId: string; readonly disk: string; readonly snapshotId: string; readonly name: string }
export interface DiskCloneInput {
  readonly machineId: string;
  readonly disk: string;
  /** Undefined: of the disk as it is, which nobody has open. */
  readonly snapshotId?: string | undefined;
  /** The snapshot is made for this, and goes with it. */
  readonly passing: boolean;
  readonly cloneId: string;
  readonly full: boolean;
  readonly served: boolean;
  /** Of the new machine. */
  readonly wish: Pick<MachineSpec, 'name' | 'architecture' | 'engine' | 'processors' | 'memoryMiB' | 'scratchMiB'>;
  readonly start: boolean;
}

export function diskSnapshotBody({ machines }: Layers, { machineId, disk, snapshotId, name }: DiskSnapshotInput): OperationBody {
  return async (run) => {
    await undone(() => machines.disks.remove(machineId, disk, snapshotId), run, () => run.step(`keep the disk ${disk} as ${name}`, () => machines.disks.take(machineId, disk, { id: snapshotId, name, memory: false, passing: false })));
    return { snapshot: snapshotId, name };
  };
}

export function diskRestoreBody(layers: Layers, { machineId, disk, snapshotId, name }: DiskSnapshotInput): OperationBody {
  return async (run) => {
    await run.step(`bring the disk ${disk} back to ${name}`, () => layers.machines.disks.restore(machineId, disk, snapshotId));
    run.progress(0.3);
    const wanted = (await layers.machines.specs.get(machineId))?.value.wanted;
    if (wanted === 'running') await run.step('start its machine', () => answers(layers, machineId, run.signal));
  };
}

export function diskRemovalBody({ machines }: Layers, { machineId, disk, snapshotId, name }: DiskSnapshotInput): OperationBody {
  return async (run) => {
    await run.step(`remove the snapshot ${name}`, () => machines.disks.remove(machineId, disk, snapshotId));
    await merge(machines.disks, machineId, disk, run);
    return { snapshot: snapshotId, name };
  };
}

export interface DiskCopyInput { readonly machineId: string; readonly disk: string; readonly path: string; readonly snapshotId?: string | undefined }

export function diskCopyBody({ machines }: Layers, { machineId, disk, path, snapshotId }: DiskCopyInput): OperationBody {
  return async (run) => {
    await run.step(`copy the disk ${disk} to ${path}`, () => machines.disks.copy(machineId, disk, path, snapshotId, { signal: run.signal, progress: run.progress }));
    return { path };
  };
}

export interface DiskMergeInput { readonly machineId: string; readonly disk: string }

export function diskMergeBody({ machines }: Layers, { machineId, disk }: DiskMergeInput): OperationBody {
  return (run) => merge(machines.disks, machineId, disk, run);
}

const merge = (disks: Layers['machines']['disks'], machineId: string, disk: string, run: OperationRun): Promise<void> => run.step('merge what nothing keeps apart any more', () => disks.merge(machineId, disk, { signal: run.signal, progress: run.progress }));

/** What it comes after has been done, and holds: layers that are not merged now are merged with those of a later copy. */
async function mergeNowOrLater(disks: Layers['machines']['disks'], machineId: string, disk: string, run: OperationRun): Promise<void> {
  try { await merge(disks, machineId, disk, run); } catch (thrown) {
    run.signal.throwIfAborted();
    run.warn(`the layers of the disk ${disk} are merged another time: ${asStrataError(thrown, 'merging').message}`);
  }
}

export function diskCloneBody(layers: Layers, input: DiskCloneInput): OperationBody {
  const { machineId, disk, snapshotId, passing, cloneId, wish } = input;
  const { disks, specs } = layers.machines;
  return async (run) => {
    const made = passing ? snapshotId : undefined;
    const remove = () => (made === undefined ? Promise.resolve() : removePassing(layers, { machineId, snapshotId: made }, () => disks.remove(machineId, disk, made)));
    await undone(async () => {
      await disks.discard(cloneId);
      await remove();
    }, run, async () => {
      if (await specs.get(cloneId) !== undefined) return; // by a daemon that ended right after
      if (made !== undefined) await run.step(`keep the disk ${disk} as it is`, () => disks.take(machineId, disk, { id: made, name: wish.name, memory: false, passing }));
      run.progress(0.2);
      await run.step(`make machine ${wish.name}`, () => makeMachine(layers, input, run.signal));
    });
    await remove();
    if (passing) await mergeNowOrLater(disks, machineId, disk, run);
    if (input.start) await run.step('start it', () => answers(layers, cloneId, run.signal));
    return { machine: cloneId, name: wish.name };
  };
}

async function makeMachine({ machines, addresses, clock }: Layers, { machineId, disk, snapshotId, cloneId, full, served, wish, start }: DiskCloneInput, signal: AbortSignal): Promise<void> {
  const made = await machines.disks.clone(machineId, disk, snapshotId, { machineId: cloneId, engine: wish.engine, served, full, signal });
  signal.throwIfAborted(); // from here on it is a machine, and no more taken back
  const specAt = (address: string): MachineSpec => ({
    ...wish, id: cloneId, boot: { kind: 'guest-os' }, disks: [made], network: { mac: macOfAddress(address), address },
    wanted: start ? 'running' : 'stopped', owner: null, createdAt: clock.now(), generation: 1,
  });
  await addresses.allocate('endpoint', `machine/${cloneId}`, (address) => [machines.specs.putWrite(cloneId, specAt(address))]);
}
