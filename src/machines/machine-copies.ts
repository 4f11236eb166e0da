/**
 * Snapshots, restores and clones of machines, running or not: each looks what the machine is, in its turn, and asks its engine.
 * All may be asked again after a daemon that ended in the middle, with the same ids.
 */
import { StrataError } from '#base';
import type { EngineChoice } from './choose-engine.ts';
import { endForCopies } from './end-for-copies.ts';
import type { Engine } from './engine.ts';
import type { LayerMerges } from './layer-merges.ts';
import type { EngineName, MachineDisk, MachineSpec } from './machine.ts';
import type { MachineRecorder } from './machine-recorder.ts';
import type { MachineSessions } from './machine-sessions.ts';
import type { MachineTurns } from './machine-turns.ts';
import type { EngineCopies, Snapshot, SnapshotWish } from './snapshots.ts';

export interface MachineCopies {
  /** The oldest first, without those that clones and forks make in passing; none where none can be taken. */
  list(machineId: string): Promise<readonly Snapshot[]>;
  /** @throws `machine.engineCannot`, `machine.unreachable`, `machine.noMemory`, `machine.nothingToKeep` */
  take(machineId: string, wish: SnapshotWish): Promise<void>;
  /** Why no machine like this one can go on from its snapshot's memory; undefined where one can. */
  misfit(machineId: string, snapshotId: string): Promise<string | undefined>;
  /** Ends the machine where it runs, unless it is refused. With memory it is wished running after that, and goes on from the snapshot. */
  restore(machineId: string, snapshotId: string): Promise<void>;
  remove(machineId: string, snapshotId: string): Promise<void>;
  /** Makes what the new machine begins with; its disks, as its wish is to name them. Its wish is the caller's to write. */
  clone(fromId: string, snapshotId: string, spec: MachineSpec, wish: { readonly memory: boolean; readonly full: boolean }): Promise<readonly MachineDisk[]>;
  /** Removes what `clone` made for a machine that was not wished. */
  discard(fromId: string, cloneId: string): Promise<void>;
}

export interface MachineCopiesDeps {
  readonly engines: ReadonlyMap<EngineName, Engine>;
  readonly recorder: MachineRecorder;
  readonly sessions: MachineSessions;
  readonly turns: MachineTurns;
  readonly merges: LayerMerges;
  choose(spec: MachineSpec): Promise<EngineChoice>;
}

interface Looked { readonly spec: MachineSpec; readonly name: MachineSpec['engine']; readonly engine: Engine | undefined; readonly served: readonly string[] }
interface Found { readonly spec: MachineSpec; readonly engine: Engine; readonly copies: EngineCopies }

export function machineCopies({ engines, recorder, sessions, turns, merges, choose }: MachineCopiesDeps): MachineCopies {
  const { runs, end } = endForCopies({ recorder, sessions });
  async function look(machineId: string): Promise<Looked> {
    const { spec, run } = await recorder.read(machineId);
    if (spec === undefined) throw new StrataError(`there is no machine ${machineId}`, { code: 'machine.notFound', kind: 'notFound', advice: 'see `strata machine ls`' });
    const name = run?.engine ?? (await choose(spec)).chosen;
    return { spec, name: name ?? spec.engine, engine: name === null ? undefined : engines.get(name), served: spec.disks.filter((disk) => disk.backend !== undefined).map((disk) => disk.serial) };
  }
  async function find(machineId: string): Promise<Found> {
    const { spec, name, engine, served } = await look(machineId);
    if (engine?.copies === undefined) throw new StrataError(`the engine ${name} cannot copy machines`, { code: 'machine.engineCannot', kind: 'refused', advice: 'see `strata engine ls`' });
    if (served.length > 0) throw new StrataError(`machine ${spec.name} has disks that back ends serve (${served.join(', ')}), which cannot be frozen with the others`, { code: 'machine.engineCannot', kind: 'refused', advice: '`strata disk snapshot` and `strata disk clone` do it with each of them' });
    return { spec, engine, copies: engine.copies };
  }
  async function refuseSuspended({ spec, engine }: Found): Promise<void> {
    if (await engine.suspended?.(spec) !== undefined) throw new StrataError(`machine ${spec.name} is suspended: part of what is on its disks is in its memory`, { code: 'machine.suspended', kind: 'refused', advice: `let it go on with \`strata machine resume ${spec.name}\` first` });
  }
  return {
    async list(machineId) {
      const { engine, served } = await look(machineId);
      if (engine?.copies === undefined || served.length > 0) return [];
      return (await engine.copies.list(machineId)).filter((one) => !one.passing);
    },
    take: (machineId, wish) => merges.copying(machineId, () => turns(machineId, async () => {
      const found = await find(machineId);
      if (!(await runs(machineId, found.spec))) {
        await refuseSuspended(found);
        return found.copies.take(found.spec, wish);
      }
      const session = sessions.get(machineId);
      const snapshot = session?.machine.snapshot?.bind(session.machine);
      if (session === undefined || snapshot === undefined) throw new StrataError(`the engine ${found.engine.name} cannot copy a machine that runs`, { code: 'machine.engineCannot', kind: 'refused', advice: 'stop it first' });
      return session.copy(() => snapshot(wish));
    })),
    async misfit(machineId, snapshotId) {
      const { spec, copies } = await find(machineId);
      return copies.misfit(spec, snapshotId);
    },
    restore: (machineId, snapshotId) => turns(machineId, async () => {
      const { spec, copies } = await find(machineId);
      const snapshot = (await copies.list(machineId)).find((one) => one.id === snapshotId);
      if (snapshot === undefined) throw new StrataError(`machine ${spec.name} has no snapshot ${snapshotId}`, { code: 'machine.snapshotNotFound', kind: 'notFound', advice: `see \`strata machine snapshot ls ${spec.name}\`` });
      // Refused before anything is ended: what runs would be lost for nothing.
      const why = snapshot.memory ? await copies.misfit(spec, snapshotId) : undefined;
      if (why !== undefined) throw new StrataError(`the memory of snapshot ${snapshot.name} cannot be used: ${why}`, { code: 'machine.snapshotUnusable', kind: 'refused', advice: `machine ${spec.name} is as it was; what the snapshot has of disks can still be cloned` });
      await end(machineId, spec);
      await copies.restore(spec, snapshotId);
      const entry = await recorder.specs.get(machineId);
      const wanted = snapshot.memory ? 'running' : entry?.value.wanted === 'suspended' ? 'stopped' : entry?.value.wanted;
      if (entry !== undefined && wanted !== undefined && entry.value.wanted !== wanted) await recorder.specs.put(machineId, { ...entry.value, wanted, generation: entry.value.generation + 1 }, { ifRevision: entry.revision });
    }),
    async remove(machineId, snapshotId) {
      await turns(machineId, async () => { await (await find(machineId)).copies.remove(machineId, snapshotId); });
      merges.begin(machineId);
    },
    clone: (fromId, snapshotId, spec, wish) => turns(fromId, async () => (await find(fromId)).copies.clone(fromId, snapshotId, spec, wish)),
    discard: (fromId, cloneId) => turns(cloneId, async () => {
      if (await recorder.specs.get(cloneId) === undefined) await (await find(fromId)).engine.erase(cloneId);
    }),
  };
}
