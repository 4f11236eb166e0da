/**
 * A disk that one machine may write is handed to no other, of whatever engine. UML locks a disk that it may write, only while its
 * guest has it open; the launcher sees such locks, QEMU's too (disk-tree.c). Here the jails of other UML machines are looked into, for
 * disks that are handed in and not opened yet, and for those that are only read.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isAlive, StrataError } from '#base';
import { readKeeperRecord } from '../launcher/index.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import type { UmlContext } from './uml-context.ts';
import { jail, umlPlaces } from './uml-places.ts';

/** A disk that cannot be looked at is left to the launcher, which says why. @throws StrataError `machine.diskLocked` */
export async function refuseHeldDisk(context: Pick<UmlContext, 'instance'>, machine: Pick<MachineSpec, 'id'>, disk: MachineDisk): Promise<void> {
  const wanted = await stat(disk.path).catch(() => undefined);
  if (wanted === undefined) return;
  const machines = await readdir(dirname(umlPlaces(context.instance, machine.id).runFolder)).catch(() => []);
  for (const id of machines.filter((one) => one !== machine.id && /^[a-z0-9-]{1,40}$/.test(one))) {
    for (const held of await disksInJail(context, id)) {
      if (held.dev === wanted.dev && held.ino === wanted.ino && (held.writable || !disk.readOnly)) throw diskLocked(disk);
    }
  }
}

export function diskLocked(disk: MachineDisk, cause?: unknown): StrataError {
  return new StrataError(`the disk ${disk.serial} is in use by another machine`, { code: 'machine.diskLocked', kind: 'conflict', cause, advice: 'detach it there first' });
}

interface HeldDisk { readonly dev: number; readonly ino: number; readonly writable: boolean }

/** Nothing where the machine does not run, or ends meanwhile. */
async function disksInJail({ instance }: Pick<UmlContext, 'instance'>, id: string): Promise<readonly HeldDisk[]> {
  const record = await readKeeperRecord(umlPlaces(instance, id).runFolder).catch(() => undefined);
  if (record === undefined || !(await isAlive(record.vmm))) return [];
  const process = `/proc/${record.vmm.pid}`;
  const mounts = await readFile(join(process, 'mountinfo'), 'utf8').catch(() => '');
  const held = await Promise.all(mounts.split('\n').map(async (line) => {
    const [, , , , place = '', options = ''] = line.split(' ');
    if (!place.startsWith(`${jail.disks}/`)) return undefined;
    const status = await stat(join(process, 'root', place)).catch(() => undefined);
    return status === undefined ? undefined : { dev: status.dev, ino: status.ino, writable: options.split(',').includes('rw') };
  }));
  return held.filter((one) => one !== undefined);
}
