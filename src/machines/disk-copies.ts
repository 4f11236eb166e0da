/**
 * Size, snapshots, clones and copies of one disk of a machine, the same whatever serves it: a back end under any engine, or the
 * VMM of an engine that keeps layers. All may be asked again after a daemon that ended in the middle, with the same ids.
 */
import { link, rm, stat } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { StrataError, type Clock, type Instance } from '#base';
import { backendId, keptOfDisk } from './backends/backend-places.ts';
import type { DiskWork } from './backends/disk-carrier.ts';
import { checkCopyPath, type DiskOperations } from './backends/disk-operations.ts';
import { chainNow, dropOfDisk, filesToKeep, layersOfSnapshot, layNew, pullLayers, recordChain, restoreOfDisk, snapshotsOfDisk, takeOfDisk, type HeldDisk } from './backends/disk-snapshots.ts';
import type { Backends } from './backends/open-backends.ts';
import type { EngineChoice } from './choose-engine.ts';
import { endForCopies } from './end-for-copies.ts';
import type { Engine } from './engine.ts';
import { growClosedDisk } from './grow-closed-disk.ts';
import type { LayerMerges } from './layer-merges.ts';
import { ownDisk, removeOwnDisks } from './machine-disks.ts';
import type { EngineName, MachineDisk, MachineSpec } from './machine.ts';
import type { MachineRecorder } from './machine-recorder.ts';
import type { MachineSessions } from './machine-sessions.ts';
import type { MachineTurns } from './machine-turns.ts';
import { flatten } from './qemu/copies/flatten-disk.ts';
import type { Layer } from './qemu/copies/layers.ts';
import type { Snapshot, SnapshotWish } from './snapshots.ts';

export interface DiskCopies {
  /** Whether its machine runs or not. Twice is as once. @throws `machine.engineCannot`, `machine.suspended`, `disk.cannotShrink` */
  grow(machineId: string, serial: string, bytes: number): Promise<void>;
  /** Whose layers hold this disk, the oldest first; without those made in passing. */
  list(machineId: string, serial: string): Promise<readonly Snapshot[]>;
  /** At one moment, while the guest writes on. @throws `machine.engineCannot`, `machine.tooManyLayers`, `machine.suspended` */
  take(machineId: string, serial: string, wish: SnapshotWish): Promise<void>;
  /** Ends the machine where it runs; its next start has the disk as it was. */
  restore(machineId: string, serial: string, snapshotId: string): Promise<void>;
  /** Twice is as once; clones go on. */
  remove(machineId: string, serial: string, snapshotId: string): Promise<void>;
  /** Whether the disk is in use and has layers that nothing keeps apart. */
  mergeable(machineId: string, serial: string): Promise<boolean>;
  /** What no snapshot keeps apart any more goes into one file, where the disk is in use. */
  merge(machineId: string, serial: string, work: DiskWork): Promise<void>;
  /**
   * Before a clone of the disk as it is now: whether that needs a snapshot, made in passing. One of a plain file does not, is a full
   * one, and is made while nobody has the file open. @throws `machine.engineCannot`, `machine.suspended`
   */
  cloneNeedsSnapshot(machineId: string, serial: string, full: boolean): Promise<boolean>;
  /**
   * Makes a disk for a new machine: on top of the snapshot's layers, or (`full`) a raw file of its own. As its wish is to name it.
   * @param snapshotId undefined: as it is now, while nobody has it open, and full
   */
  clone(machineId: string, serial: string, snapshotId: string | undefined, to: { readonly machineId: string; readonly engine: MachineSpec['engine']; readonly served: boolean; readonly full: boolean; readonly signal?: AbortSignal }): Promise<MachineDisk>;
  /** Removes what `clone` made for a machine that was not wished. */
  discard(machineId: string): Promise<void>;
  /** What `copy` would be refused for, before anything begins. */
  checkCopy(machineId: string, serial: string, path: string, snapshotId: string | undefined): Promise<void>;
  /** Into a raw file, whole and sparse, of one moment: now, or of a snapshot. @throws `disk.fileExists`, `disk.badPath`, `machine.engineCannot` */
  copy(machineId: string, serial: string, path: string, snapshotId: string | undefined, work: DiskWork): Promise<void>;
}

export interface DiskCopiesDeps {
  readonly instance: Instance;
  readonly engines: ReadonlyMap<EngineName, Engine>;
  readonly recorder: MachineRecorder;
  readonly sessions: MachineSessions;
  readonly turns: MachineTurns;
  readonly merges: LayerMerges;
  readonly backends: Backends | undefined;
  readonly clock: Clock;
  choose(spec: MachineSpec): Promise<EngineChoice>;
}

type Found = Omit<HeldDisk, 'operations' | 'places'> & {
  readonly engine: Engine | undefined;
  /** Undefined where the engine keeps no layers. */
  readonly places: HeldDisk['places'] | undefined;
  readonly served: Backends | undefined;
};

export function diskCopies({ instance, engines, recorder, sessions, turns, merges, backends, clock, choose }: DiskCopiesDeps): DiskCopies {
  const { runs, end } = endForCopies({ recorder, sessions });
  /** Whose VMMs open disks with layers themselves. */
  const layering = (name: MachineSpec['engine']): Engine | undefined => [...engines.values()].find((one) => one.copies?.placesOf !== undefined && (name === 'auto' || one.name === name));

  async function find(machineId: string, serial: string): Promise<Found> {
    const { spec, run } = await recorder.read(machineId);
    if (spec === undefined) throw new StrataError(`there is no machine ${machineId}`, { code: 'machine.notFound', kind: 'notFound', advice: 'see `strata machine ls`' });
    const disk = spec.disks.find((one) => one.serial === serial);
    if (disk === undefined) throw noDisk(spec, serial);
    if (disk.readOnly) throw new StrataError(`the disk ${serial} of machine ${spec.name} is only read`, { code: 'disk.readOnly', kind: 'refused' });
    const name = run?.engine ?? (await choose(spec)).chosen;
    const engine = name === null ? undefined : engines.get(name);
    const served = disk.backend === undefined ? undefined : backends;
    return { spec, disk, engine, served, places: served === undefined ? engine?.copies?.placesOf?.(machineId) : keptOfDisk(instance, machineId, serial) };
  }
  async function layered(machineId: string, serial: string): Promise<Found & Pick<HeldDisk, 'places'>> {
    const found = await find(machineId, serial);
    if (found.places === undefined) throw noLayers(found, 'have a back end serve the disk (`backend=vhost-user`), or use the engine qemu');
    return { ...found, places: found.places };
  }
  const mayBeOpen = async ({ spec, served }: Found): Promise<boolean> => served !== undefined || runs(spec.id, spec);
  /** While nobody opens or closes the disk. @param ended nobody has it open any more */
  async function holding<T>({ spec, disk, served, engine }: Found, work: (operations: DiskOperations | undefined) => Promise<T>, ended = false): Promise<T> {
    if (served !== undefined) return served.holding(backendId(spec.id, disk.serial), work, ended);
    const running = await runs(spec.id, spec);
    if (!running && await engine?.suspended?.(spec) !== undefined) throw new StrataError(`machine ${spec.name} is suspended: part of what is on its disks is in its memory`, { code: 'machine.suspended', kind: 'refused', advice: `let it go on with \`strata machine resume ${spec.name}\` first` });
    if (!running) return work(undefined);
    const operations = sessions.get(spec.id)?.machine.diskOperations;
    if (operations === undefined) throw heldOpen(spec, disk);
    return work(operations);
  }
  /** Of a disk that nobody has open, the uppermost first. @throws `disk.notFound` */
  async function filesOf(found: Found): Promise<readonly [Layer, ...Layer[]]> {
    const { spec, disk, places } = found;
    const [upper, ...below] = places === undefined ? [{ path: disk.path, format: disk.format }] : await chainNow({ ...found, places, operations: undefined });
    if (upper === undefined || !existsSync(upper.path)) throw new StrataError(`the disk ${disk.serial} of machine ${spec.name} was not made yet`, { code: 'disk.notFound', kind: 'notFound', advice: `\`strata machine start ${spec.name}\` makes it` });
    return [upper, ...below];
  }
  async function closedFiles(found: Found, open: DiskOperations | undefined): Promise<readonly Layer[]> {
    if (open !== undefined) throw heldOpen(found.spec, found.disk);
    return filesOf(found);
  }
  async function lay(chain: readonly Layer[], serial: string, to: Parameters<DiskCopies['clone']>[3]): Promise<MachineDisk> {
    const places = to.served ? keptOfDisk(instance, to.machineId, serial) : layering(to.engine)?.copies?.placesOf?.(to.machineId);
    if (!to.full && places === undefined) throw new StrataError(`the engine ${to.engine} opens disks as plain files without layers`, { code: 'machine.engineCannot', kind: 'refused', advice: 'make a full clone, or have a back end serve it' });
    const own = ownDisk(instance, to.machineId, { serial, content: { sizeMiB: 0 } });
    const disk = await layNew(chain, serial, { places: places ?? keptOfDisk(instance, to.machineId, serial), path: own.path, full: to.full, ...(to.signal === undefined ? {} : { signal: to.signal }) });
    return to.served ? { ...disk, backend: 'vhost-user' } : disk;
  }

  return {
    grow: (machineId, serial, bytes) => turns(machineId, async () => {
      const found = await find(machineId, serial);
      await holding(found, async (operations) => {
        if (operations === undefined) await growClosedDisk(serial, await filesOf(found), bytes);
        else await operations.grow(serial, bytes);
      });
    }),
    async list(machineId, serial) {
      const all = await snapshotsOfDisk(await layered(machineId, serial));
      return all.filter((one) => !one.passing).map((one) => ({ id: one.id, name: one.name, machineId, createdAt: one.createdAt, memory: one.memory !== null, passing: false, disks: one.disks.filter((of) => of.layers.length > 0 && of.serial !== 'scratch').map((of) => of.serial) }));
    },
    take: (machineId, serial, wish) => merges.copying(machineId, () => turns(machineId, async () => {
      const found = await layered(machineId, serial);
      await holding(found, (operations) => takeOfDisk({ ...found, operations }, wish, clock));
    })),
    restore: (machineId, serial, snapshotId) => turns(machineId, async () => {
      const found = await layered(machineId, serial);
      await layersOfSnapshot(found.places, found.disk, snapshotId); // before anything is ended
      if (found.served === undefined && !(await runs(machineId, found.spec))) await holding(found, async () => undefined);
      await end(machineId, found.spec);
      await holding(found, () => restoreOfDisk({ ...found, operations: undefined }, snapshotId), true);
    }),
    async remove(machineId, serial, snapshotId) {
      await turns(machineId, async () => { await dropOfDisk((await layered(machineId, serial)).places, snapshotId); });
      merges.begin(machineId);
    },
    mergeable: (machineId, serial) => turns(machineId, async () => {
      const found = await find(machineId, serial);
      const { places } = found;
      if (places === undefined || !(await mayBeOpen(found))) return false;
      return holding(found, async (operations) => await filesToKeep({ ...found, places, operations }) !== undefined);
    }),
    async merge(machineId, serial, work) {
      const found = await layered(machineId, serial);
      if (!(await mayBeOpen(found))) return;
      const held = async (operations: DiskOperations | undefined): Promise<HeldDisk> => ({ ...found, operations });
      // The long part is in nobody's way: what it does to the layers changes nothing that can be read.
      const pulled = async (): Promise<boolean> => {
        const before = await turns(machineId, () => holding(found, held));
        try { return await pullLayers(before, work); } catch (thrown) {
          if (!(thrown instanceof StrataError) || thrown.code !== 'disk.jobEnded' || !(await mayBeOpen(found))) throw thrown;
          return pulled(); // its machine was copied meanwhile
        }
      };
      if (await pulled()) await turns(machineId, () => holding(found, async (operations) => recordChain(await held(operations))));
    },
    async cloneNeedsSnapshot(machineId, serial, full) {
      const found = await find(machineId, serial);
      if (found.places !== undefined) return true;
      if (!full) throw noLayers(found, 'add --full, which copies the file while the machine does not run');
      await turns(machineId, () => holding(found, async (open) => closedFiles(found, open)));
      return false;
    },
    async clone(machineId, serial, snapshotId, to) {
      if (snapshotId !== undefined) {
        const found = await layered(machineId, serial);
        return lay(await layersOfSnapshot(found.places, found.disk, snapshotId), serial, to);
      }
      const found = await find(machineId, serial);
      return turns(machineId, () => holding(found, async (open) => lay(await closedFiles(found, open), serial, { ...to, full: true })));
    },
    discard: (machineId) => turns(machineId, async () => {
      if (await recorder.specs.get(machineId) !== undefined) return;
      await removeOwnDisks(instance, machineId);
      await layering('auto')?.erase(machineId);
    }),
    async checkCopy(machineId, serial, path, snapshotId) {
      const found = await find(machineId, serial);
      await checkCopyPath(path);
      if (snapshotId === undefined) await turns(machineId, () => holding(found, async (open) => { if (open === undefined) await filesOf(found); }));
    },
    async copy(machineId, serial, path, snapshotId, work) {
      if (await isUnderBothNames(path)) return rm(`${path}.new`); // by a daemon that ended right after
      await checkCopyPath(path);
      const flat = async (chain: readonly Layer[]): Promise<void> => {
        const unfinished = `${path}.new`;
        try {
          await flatten(chain, unfinished, 'raw', work.signal);
          await link(unfinished, path); // never over a file that is there
        } finally {
          await rm(unfinished, { force: true });
        }
      };
      if (snapshotId !== undefined) {
        const found = await layered(machineId, serial);
        return flat(await layersOfSnapshot(found.places, found.disk, snapshotId));
      }
      const found = await find(machineId, serial);
      // Whether it runs is looked at in its turn; a copy of what nobody has open keeps it from being opened meanwhile.
      const operations = await turns(machineId, () => holding(found, async (open) => {
        if (open === undefined) await flat(await filesOf(found));
        return open;
      }));
      await operations?.copy(serial, path, work);
    },
  };
}

/** Whether a copy has its name, and still the one that it was made under. */
async function isUnderBothNames(path: string): Promise<boolean> {
  const [made, unfinished] = await Promise.all([path, `${path}.new`].map((name) => stat(name).catch(() => undefined)));
  return made !== undefined && made.ino === unfinished?.ino && made.dev === unfinished.dev;
}

const noDisk = (spec: MachineSpec, serial: string): StrataError => new StrataError(`machine ${spec.name} has no disk ${serial}`, { code: 'disk.notFound', kind: 'notFound', advice: `it has: ${spec.disks.map((one) => one.serial).join(', ') || 'none'}` });
const noLayers = ({ spec, disk, engine }: Pick<Found, 'spec' | 'disk' | 'engine'>, advice: string): StrataError => new StrataError(`the engine ${engine?.name ?? spec.engine} opens the disk ${disk.serial} of machine ${spec.name} as a plain file without layers`, { code: 'machine.engineCannot', kind: 'refused', advice });
const heldOpen = ({ name }: MachineSpec, { serial }: MachineDisk): StrataError => new StrataError(`the engine of machine ${name} can do nothing with the disk ${serial} while it has it open`, { code: 'machine.engineCannot', kind: 'refused', advice: `\`strata machine stop ${name}\` first; a disk that a back end serves (\`backend=vhost-user\`) needs no stop` });
