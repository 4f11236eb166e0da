/** QEMU's names and JSON for one disk. The serial names everything: node `n-<serial>`, file node `f-<serial>`, device `s-<serial>`. Pure. */
import type { MachineDisk } from '../machine.ts';

export const serialId = (serial: string): string => `s-${serial}`;
export const nodeName = (serial: string): string => `n-${serial}`;

/** Serial of a device of ours, undefined for others. */
export const serialOf = (deviceId: string): string | undefined => (deviceId.startsWith('s-') ? deviceId.slice(2) : undefined);

/** For `-blockdev` and `blockdev-add`, of a file that is handed in. */
export const driveNode = (disk: MachineDisk, set: number): Readonly<Record<string, unknown>> => fileNode(disk, `/dev/fdset/${set}`);

/** The format is stated, a backing file is never followed. */
export function fileNode(disk: MachineDisk, filename: string): Readonly<Record<string, unknown>> {
  return {
    driver: disk.format,
    'node-name': nodeName(disk.serial),
    'read-only': disk.readOnly,
    discard: disk.readOnly ? 'ignore' : 'unmap',
    file: { driver: 'file', 'node-name': `f-${disk.serial}`, filename, 'read-only': disk.readOnly, discard: disk.readOnly ? 'ignore' : 'unmap', locking: 'on', aio: 'threads' },
    ...(disk.format === 'qcow2' ? { backing: null } : {}),
  };
}

/** For `-device` and `device_add`. A SCSI disk is plugged in 2 ms and tells its serial in VPD page 0x80, where the guest looks. */
export function deviceArguments(disk: MachineDisk, bootIndex?: number): Readonly<Record<string, unknown>> {
  return { driver: 'scsi-hd', id: serialId(disk.serial), bus: 'scsi.0', drive: nodeName(disk.serial), serial: disk.serial, ...(bootIndex === undefined ? {} : { bootindex: bootIndex }) };
}
