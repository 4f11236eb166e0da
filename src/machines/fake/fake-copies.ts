/** Snapshots and clones in the fake world: disks are names, memory is what its guest knows. */
import { failpoint, StrataError } from '#base';
import type { MachineSpec } from '../machine.ts';
import type { EngineCopies, SnapshotWish } from '../snapshots.ts';
import type { FakeKept, FakeSnapshot, FakeWorld } from './fake-world.ts';

/** Twice the same as once. */
export function takeFake(world: FakeWorld, spec: MachineSpec, wish: SnapshotWish, memory: FakeKept | undefined): void {
  failpoint('machines.fake.beforeSnapshot');
  if (spec.name.startsWith('full-disk')) throw new StrataError('fake: no space is left', { code: 'engine.snapshotFailed', kind: 'unavailable' });
  const own = world.snapshots.get(spec.id) ?? new Map<string, FakeSnapshot>();
  world.snapshots.set(spec.id, own);
  if (own.has(wish.id)) return;
  const disks = spec.disks.filter((disk) => !disk.readOnly).map((disk) => disk.serial);
  own.set(wish.id, { shown: { ...wish, machineId: spec.id, createdAt: Date.now(), disks }, memory: wish.memory ? memory : undefined });
  failpoint('machines.fake.afterSnapshot');
}

export function fakeCopies(world: FakeWorld): EngineCopies {
  const find = (machineId: string, id: string): FakeSnapshot => {
    const found = world.snapshots.get(machineId)?.get(id);
    if (found === undefined) throw new StrataError(`the snapshot ${id} is gone`, { code: 'machine.snapshotNotFound', kind: 'notFound' });
    return found;
  };
  const put = (id: string, memory: FakeKept | undefined): void => {
    if (memory === undefined) world.goingOn.delete(id);
    else world.goingOn.set(id, memory);
  };
  return {
    async take(spec, wish) {
      if (wish.memory) throw new StrataError(`machine ${spec.name} does not run, and has no memory to keep`, { code: 'machine.noMemory', kind: 'refused' });
      takeFake(world, spec, wish, undefined);
    },
    list: async (machineId) => [...world.snapshots.get(machineId)?.values() ?? []].map((one) => one.shown),
    async restore(spec, id) {
      failpoint('machines.fake.beforeRestore');
      put(spec.id, find(spec.id, id).memory);
      failpoint('machines.fake.afterRestore');
    },
    async misfit(spec, id) {
      const found = world.snapshots.get(spec.id)?.get(id);
      if (found === undefined) return 'fake: the snapshot is gone';
      return found.memory === undefined ? 'fake: the snapshot has no memory' : undefined;
    },
    async remove(machineId, id) { world.snapshots.get(machineId)?.delete(id); },
    async clone(fromId, id, spec, { memory }) {
      failpoint('machines.fake.beforeClone');
      const found = find(fromId, id);
      if (memory && found.memory === undefined) throw new StrataError('fake: the snapshot has no memory', { code: 'machine.snapshotUnusable', kind: 'refused' });
      put(spec.id, memory ? found.memory : undefined);
      failpoint('machines.fake.afterClone');
      return spec.disks;
    },
  };
}
