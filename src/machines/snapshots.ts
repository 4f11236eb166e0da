/** Snapshots and clones, as engines that can make them offer them. Taken of a machine, they belong to it and go with it. */
import type { MachineDisk, MachineSpec } from './machine.ts';

export interface SnapshotWish {
  /** Chosen by the asker: asked again with it, it is the same snapshot. */
  readonly id: string;
  readonly name: string;
  /** With what the machine has in memory: it goes on from there, instead of booting. */
  readonly memory: boolean;
  /** Of a clone or a fork, which removes it when it has what it needs; nobody else sees it. */
  readonly passing: boolean;
  /** The new machine that is to go on from its memory at once: an engine may begin with what that takes while it copies. */
  readonly goesOnAs?: string;
}

export interface Snapshot {
  readonly id: string;
  readonly name: string;
  readonly machineId: string;
  readonly createdAt: number;
  readonly memory: boolean;
  readonly passing: boolean;
  /** Serials of the disks it holds. */
  readonly disks: readonly string[];
}

export interface EngineCopies {
  /** Where the layers of disks lie that its VMMs open themselves; without it nothing is done with one disk alone. */
  placesOf?(machineId: string): { readonly stateFolder: string };
  /** Of a machine that does not run; twice the same as once. @throws `machine.noMemory`, `machine.nothingToKeep`, `machine.tooManyLayers`, `machine.diskElsewhere` */
  take(spec: MachineSpec, wish: SnapshotWish): Promise<void>;
  /** The whole ones, the oldest first; also passing ones. */
  list(machineId: string): Promise<readonly Snapshot[]>;
  /** The machine does not run: its disks are as they were, and with memory its next start goes on from it. Cut off, it is done again. @throws `machine.snapshotNotFound`, `machine.snapshotUnusable` */
  restore(spec: MachineSpec, snapshotId: string): Promise<void>;
  /** Twice is as once; clones go on. */
  remove(machineId: string, snapshotId: string): Promise<void>;
  /** Why no machine like the one it was taken of can go on from its memory; undefined where one can. */
  misfit(spec: MachineSpec, snapshotId: string): Promise<string | undefined>;
  /** Makes a new machine's disks, shared or (`full`) its own, and with memory what its first start goes on from. The disks as its wish is to name them. */
  clone(fromId: string, snapshotId: string, spec: MachineSpec, wish: { readonly memory: boolean; readonly full: boolean }): Promise<readonly MachineDisk[]>;
}
