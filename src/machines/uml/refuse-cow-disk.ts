/**
 * UML looks for its own copy-on-write header in every disk, also in those it is told are plain data, and takes the
 * disk's size from the file that the header names. A guest could write one, so such a disk is not handed in.
 */
import { open } from 'node:fs/promises';
import { StrataError } from '#base';
import type { MachineDisk } from '../machine.ts';

/** In either byte order. */
const magics: readonly string[] = ['OOOM', 'MOOO'];

/** A disk that cannot be read is left to the launcher, which says why. @throws StrataError `machine.diskNotRaw` */
export async function refuseCowDisk(disk: Pick<MachineDisk, 'serial' | 'path'>): Promise<void> {
  const file = await open(disk.path, 'r').catch(() => undefined);
  if (file === undefined) return;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (bytesRead < 4 || !magics.includes(buffer.toString('latin1'))) return;
  } finally {
    await file.close();
  }
  throw new StrataError(`the disk ${disk.serial} begins like a copy-on-write file of UML and is not handed in`, { code: 'machine.diskNotRaw', kind: 'refused', advice: 'use the engine qemu, or make the volume anew', details: { path: disk.path } });
}
