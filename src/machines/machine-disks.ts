/** Disks that are a machine's own: made before its first start, removed with it. */
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runProcess, StrataError, type Instance } from '#base';
import { makeExt4Disk } from './make-ext4-disk.ts';
import type { MachineDisk, MachineSpec } from './machine.ts';

const folderOf = (instance: Instance, machineId: string): string => join(instance.stateDir, 'disks', machineId);

export interface DiskWish {
  readonly serial: string;
  /** With an empty ext4, or with the content of a file of the host. */
  readonly content: { readonly sizeMiB: number } | { readonly from: string };
  readonly backend?: 'vhost-user' | undefined;
}

/** A disk of a machine that is to be made. */
export function ownDisk(instance: Instance, machineId: string, { serial, content, backend }: DiskWish): MachineDisk {
  return { serial, path: join(folderOf(instance, machineId), `${serial}.raw`), format: 'raw', readOnly: false, ...content, ...(backend === undefined ? {} : { backend }) };
}

/** Idempotent. Only before the first start: a disk that is lost later is told, and no empty one takes its place. */
export async function makeOwnDisks(spec: MachineSpec): Promise<void> {
  for (const { path, sizeMiB, from } of spec.disks) {
    if (from !== undefined) await copyDisk(from, path);
    else if (sizeMiB !== undefined) await makeExt4Disk(path, sizeMiB * 1024 * 1024);
  }
}

/** Shares the bytes where the file system can, and takes no room for what is empty. */
async function copyDisk(from: string, path: string): Promise<void> {
  if (existsSync(path)) return;
  await checkSource(from);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  await runProcess(['cp', '--reflink=auto', '--sparse=always', '--', from, temporary], { timeoutMs: 600_000 });
  await chmod(temporary, 0o600);
  await rename(temporary, path);
}

/** @throws StrataError `disk.badSource` */
export async function checkSource(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined);
  if (status?.isFile() !== true || status.size === 0 || status.size % 512 !== 0) {
    throw new StrataError(`${path} is no raw disk: ${status === undefined ? 'there is no such file' : status.isFile() ? `it has ${status.size} bytes, and disks have a multiple of 512` : 'it is no file'}`, { code: 'disk.badSource', kind: 'invalid', advice: 'make one with `strata disk copy`' });
  }
}

/** Idempotent. */
export const removeOwnDisks = (instance: Instance, machineId: string): Promise<void> => rm(folderOf(instance, machineId), { recursive: true, force: true });
