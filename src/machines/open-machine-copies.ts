/** Copies of machines and of single disks, and the merging of what they leave on disks, joined. */
import type { Instance, Log } from '#base';
import { diskCopies, type DiskCopies, type DiskCopiesDeps } from './disk-copies.ts';
import { layerMerges } from './layer-merges.ts';
import { machineCopies, type MachineCopies } from './machine-copies.ts';

export interface OpenedCopies {
  readonly copies: MachineCopies;
  /** Of one disk, whatever serves it. */
  readonly disks: DiskCopies;
  /** What an earlier daemon did not come to, of a machine that was found again; in the background. */
  mergeLeft(machineId: string): void;
  /** Breaks off what goes on in the background. */
  stop(): Promise<void>;
}

export function openMachineCopies(deps: Omit<DiskCopiesDeps, 'merges'> & { readonly instance: Instance; readonly log: Log }): OpenedCopies {
  const merges = layerMerges(deps);
  return { copies: machineCopies({ ...deps, merges }), disks: diskCopies({ ...deps, merges }), mergeLeft: (machineId) => merges.begin(machineId), stop: () => merges.stop() };
}
