/** Disks that are a machine's own: made before its first start, removed with it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Instance } from '#base';
import { makeExt4Disk } from './make-ext4-disk.ts';
import type { MachineDisk, MachineSpec } from './machine.ts';

const folderOf = (instance: Instance, machineId: string): string => join(instance.stateDir, 'disks', machineId);

/** A disk of a machine that is to be made. */
export function ownDisk(instance: Instance, machineId: string, wish: { readonly serial: string; readonly sizeMiB: number; readonly backend?: 'vhost-user' | undefined }): MachineDisk {
  const { serial, sizeMiB, backend } = wish;
  return { serial, path: join(folderOf(instance, machineId), `${serial}.raw`), format: 'raw', readOnly: false, sizeMiB, ...(backend === undefined ? {} : { backend }) };
}

/** Idempotent. Only before the first start: a disk that is lost later is told, and no empty one takes its place. */
export async function makeOwnDisks(spec: MachineSpec): Promise<void> {
  for (const { path, sizeMiB } of spec.disks) if (sizeMiB !== undefined) await makeExt4Disk(path, sizeMiB * 1024 * 1024);
}

/** Idempotent. */
export const removeOwnDisks = (instance: Instance, machineId: string): Promise<void> => rm(folderOf(instance, machineId), { recursive: true, force: true });
