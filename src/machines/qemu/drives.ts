/** QEMU's names and JSON for one disk. The serial names everything: node `n-<serial>`, file node `f-<serial>`, device `s-<serial>`. Pure. */
import type { MachineDisk } from '../machine.ts';

export const serialId = (serial: string): string => `s-${serial}`;
export const nodeName = (serial: string): string => `n-${serial}`;

/** Serial of a device of ours, undefined for others. */
export const serialOf = (deviceId: string): string | undefined => (deviceId.startsWith('s-') ? deviceId.slice(2) : undefined);

type Node = Readonly<Record<string, unknown>>;

/**
 * For `-blockdev` and `blockdev-add`. The format is stated, and so is what lies below: nothing else is followed.
 * @param below sets of the descriptors of `disk.backing`
 */
export const driveNode = (disk: MachineDisk, set: number, below: readonly number[] = []): Node => fileNode(disk, setPath(set), below.map(setPath));

/** As `driveNode`, of files that are opened by name. */
export function fileNode(disk: MachineDisk, filename: string, below: readonly string[] = []): Node {
  return layerNode(disk.format, disk.readOnly, nodeName(disk.serial), filename, disk.format === 'qcow2' ? backingNode(disk, below, 0) : null);
}

/** The name under which QEMU opens a descriptor that was handed in. */
export const setPath = (set: number): string => `/dev/fdset/${set}`;

function backingNode(disk: MachineDisk, below: readonly string[], at: number): Node | null {
  const layer = disk.backing?.[at];
  const filename = below[at];
  if (layer === undefined || filename === undefined) return null;
  return layerNode(layer.format, true, `b${at + 1}-${disk.serial}`, filename, layer.format === 'qcow2' ? backingNode(disk, below, at + 1) : null);
}

/** The block node a guest writes to: the newest overlay over the disk, or the disk itself (`freeze-disks.ts` puts them there). */
export function topNode(serial: string, names: readonly string[]): string {
  const overlays = names.flatMap((name) => { const [, number, of] = /^o(\d+)-(.+)$/.exec(name) ?? []; return of === serial ? [Number(number)] : []; });
  return overlays.length === 0 ? nodeName(serial) : `o${Math.max(...overlays)}-${serial}`;
}

/** Nodes that came with what lies above them, and go with it. */
export const isBelow = (node: string): boolean => /^b\d+-/.test(node);

/** Of one file in the place of several: it stands where the uppermost of those did, `o5m1-x` for `o5-x`. Pure. */
export function mergedNode(uppermost: string): string {
  const dash = uppermost.indexOf('-');
  const [, place = '', times = '0'] = /^(.*?)(?:m(\d+))?$/.exec(uppermost.slice(0, dash)) ?? [];
  return `${place}m${Number(times) + 1}${uppermost.slice(dash)}`;
}

/** `n-x` has the file node `f-x`, `b2-x` has `fb2-x`. */
export const fileNodeName = (node: string): string => (node.startsWith('n-') ? `f${node.slice(1)}` : `f${node}`);

/** One file of a disk, with what lies below it, or the name of the node that does. */
export function layerNode(format: MachineDisk['format'], readOnly: boolean, name: string, filename: string, backing: Node | string | null): Node {
  const discard = readOnly ? 'ignore' : 'unmap';
  return {
    driver: format, 'node-name': name, 'read-only': readOnly, discard,
    file: { driver: 'file', 'node-name': fileNodeName(name), filename, 'read-only': readOnly, discard, locking: 'on', aio: 'threads' },
    ...(format === 'qcow2' ? { backing } : {}),
  };
}

/** For `blockdev-reopen` of a layer: the same but for what lies below it. QEMU made one that is no longer written a read-only one. */
export const overlayOn = (node: string, readOnly: boolean, below: string): Node => ({ driver: 'qcow2', 'node-name': node, 'read-only': readOnly, discard: readOnly ? 'ignore' : 'unmap', file: fileNodeName(node), backing: below });

/** For `-device` and `device_add`. A SCSI disk is plugged in 2 ms and tells its serial in VPD page 0x80, where the guest looks. */
export function deviceArguments(disk: MachineDisk): Readonly<Record<string, unknown>> {
  return { driver: 'scsi-hd', id: serialId(disk.serial), bus: 'scsi.0', drive: nodeName(disk.serial), serial: disk.serial };
}
