/** UML's names of disks: `ubda` to `ubdp`, each with the serial by which the guest finds it. Pure. */
import type { MachineDisk } from '../machine.ts';
import { jail } from './uml-places.ts';

const letters = 'abcdefghijklmnop';
export const maxUbdDisks = letters.length;
export const ubdDevices: readonly string[] = [...letters].map((letter) => `ubd${letter}`);

/** Where the disk lies in the jail. */
export const jailDisk = (serial: string): string => `${jail.disks}/${serial}`;

/**
 * `d`: the file is data, not copy-on-write (but see refuse-cow-disk.ts); `r`: read-only, and `c`: not locked then, since a lock on all of
 * a file that is only read is in the way of QEMU, which reads it too. Writers are kept away by refuse-held-disk.ts.
 */
export function ubdArgument(device: string, disk: Pick<MachineDisk, 'serial' | 'readOnly'>): string {
  if (!/^[a-z0-9-]{1,20}$/.test(disk.serial)) throw new RangeError(`'${disk.serial}' is no serial`); // a comma in it would name another file
  return `${device}${disk.readOnly ? 'rc' : ''}d=${jailDisk(disk.serial)},,${disk.serial}`;
}

/** A device that has no file at all; UML gives its first one a file of its own where it is told of none. */
export const freeDevice = (answers: readonly string[]): string | undefined => ubdDevices.find((_device, index) => (answers[index] ?? '').trim() === '');

/** Serial → device, from UML's answers to `config <device>` in the order of ubdDevices. */
export function pluggedDisks(answers: readonly string[]): ReadonlyMap<string, string> {
  const plugged = new Map<string, string>();
  ubdDevices.forEach((device, index) => {
    const path = (answers[index] ?? '').trim().split(',')[0] ?? '';
    if (path.startsWith(`${jail.disks}/`)) plugged.set(path.slice(jail.disks.length + 1), device);
  });
  return plugged;
}
