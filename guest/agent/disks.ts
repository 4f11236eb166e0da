/**
 * Disks found by serial, and what is mounted from them: images (squashfs, read-only, shared by containers),
 * volumes (ext4) and the scratch disk for containers' writable layers.
 */
import * as sys from 'sys';
import { exists, isMounted, listFolder, makeFolder, readBytes, readText, unmount } from './files.ts';
import { textOf } from './text.ts';

const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOATIME = 1024;

/** Serial → device of every disk the kernel sees. SCSI disks tell theirs in VPD page 0x80 (SPC-5 7.8.17), virtio disks in `serial`. */
export function disksBySerial(): Map<string, string> {
  const disks = new Map<string, string>();
  for (const name of listFolder('/sys/block')) {
    const serial = serialOf(name);
    if (serial !== '') disks.set(serial, `/dev/${name}`);
  }
  return disks;
}

function serialOf(name: string): string {
  const plain = readText(`/sys/block/${name}/serial`);
  if (plain !== undefined) return plain.trim();
  try {
    const page = readBytes(`/sys/block/${name}/device/vpd_pg80`, 0, 255);
    return page.length > 4 ? textOf(page.slice(4, 4 + (page[3] as number))).trim() : '';
  } catch {
    return ''; // a disk without a serial is not ours
  }
}

function deviceOf(serial: string): string {
  const device = disksBySerial().get(serial);
  if (device === undefined) throw new Error(`the machine has no disk with serial ${serial}`);
  return device;
}

/** Mounts an image's files; returns the folder. */
export function mountImage(serial: string): string {
  const folder = `/images/${serial}`;
  if (isMounted(folder)) return folder;
  makeFolder(folder);
  sys.mount(deviceOf(serial), folder, 'squashfs', MS_RDONLY | MS_NODEV, null);
  return folder;
}

/** Mounts a volume's file system; returns the folder. */
export function mountVolume(serial: string): string {
  const folder = `/volumes/${serial}`;
  if (isMounted(folder)) return folder;
  makeFolder(folder);
  sys.mount(deviceOf(serial), folder, 'ext4', MS_NOSUID | MS_NODEV | MS_NOATIME, null);
  return folder;
}

/** The scratch disk, where the machine has one; else writable layers live in memory. */
export function mountScratch(): void {
  if (isMounted('/scratch')) return;
  const device = disksBySerial().get('scratch');
  if (device === undefined) sys.mount('tmpfs', '/scratch', 'tmpfs', MS_NODEV, 'mode=700');
  else sys.mount(device, '/scratch', 'ext4', MS_NODEV | MS_NOATIME, 'nobarrier');
  for (const folder of ['layers', 'logs']) makeFolder(`/scratch/${folder}`, 0o700);
}

export function releaseDisk(serial: string): void {
  for (const folder of [`/images/${serial}`, `/volumes/${serial}`]) unmount(folder);
  sys.sync();
}

export function freezeDisk(serial: string, frozen: boolean): void {
  const folder = `/volumes/${serial}`;
  if (!exists(folder) || !isMounted(folder)) return;
  if (frozen) sys.sync();
  sys.freeze(folder, frozen ? 1 : 0);
}
