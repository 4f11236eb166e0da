/**
 * Disks found by serial, and what is mounted from them: images (squashfs, read-only, shared by containers),
 * volumes (ext4) and the scratch disk for containers' writable layers.
 */
import * as os from 'os';
import * as sys from 'sys';
import { searchForDisks } from './disk-drivers.ts';
import { exists, FileError, isMounted, listFolder, makeFolder, readBytes, readText, setKernelValue, unmount } from './files.ts';
import { pause } from './loop.ts';
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

/** All that is in /sys/block, and there before its node in /dev is. */
const devices = '/sys/class/block';

/** '' for what is no disk, or none of ours. */
export function serialOf(name: string): string {
  const served = servedDisk(name);
  if (served !== undefined) return served;
  const plain = readText(`${devices}/${name}/serial`);
  if (plain !== undefined) return plain.trim();
  try {
    const page = readBytes(`${devices}/${name}/device/vpd_pg80`, 0, 255);
    return page.length > 4 ? textOf(page.slice(4, 4 + (page[3] as number))).trim() : '';
  } catch {
    return ''; // a disk without a serial is not ours
  }
}

/**
 * A back end tells no serial, so the host says where each of its disks is plugged: as device of a PCI bus, or by number in
 * a UML guest. There the guest has to say that its writes may be cached until it flushes, or it would never flush.
 */
function servedDisk(name: string): string | undefined {
  if (!name.startsWith('vd')) return undefined;
  const [place, error] = os.readlink(`${devices}/${name}`);
  if (error !== 0) return undefined;
  for (const [serial, slot] of announcedDisks()) {
    if (!place.includes(`/0000:00:${slot.toString(16)}.0/`) && !place.includes(`/virtio-uml.${slot}/`)) continue;
    const cache = `${devices}/${name}/cache_type`;
    if (readText(cache)?.trim() === 'write through') setKernelValue(cache, 'write back');
    return serial;
  }
  return undefined;
}

const servedWord = 'strata.backends=';

function announcedDisks(): (readonly [string, number])[] {
  const word = (readText('/proc/cmdline') ?? '').split(/\s+/).find((one) => one.startsWith(servedWord));
  if (word === undefined) return [];
  return word.slice(servedWord.length).split(',').map((one) => [one.slice(0, one.lastIndexOf(':')), Number(one.slice(one.lastIndexOf(':') + 1))] as const);
}

function deviceOf(serial: string): string {
  const device = disksBySerial().get(serial);
  if (device === undefined) throw new FileError('diskMissing', `the guest sees no disk with serial ${serial}`);
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

/** Where the host says on the kernel's command line that there is a scratch disk, it is worth waiting for. */
const scratchWord = 'strata.scratch=disk';
const scratchSerial = 'scratch';
const scratchWaitMs = 10_000;

/**
 * Writable layers and logs: on the disk with serial `scratch` (ext4, made by the host) where the command line
 * announces one; else in memory. Called once.
 */
export async function mountScratch(): Promise<void> {
  if ((readText('/proc/cmdline') ?? '').split(/\s+/).includes(scratchWord)) {
    await awaitDisks([scratchSerial], scratchWaitMs);
    sys.mount(deviceOf(scratchSerial), '/scratch', 'ext4', MS_NODEV | MS_NOATIME, 'nobarrier');
  } else sys.mount('tmpfs', '/scratch', 'tmpfs', MS_NODEV, 'mode=700');
  for (const folder of ['layers', 'logs']) makeFolder(`/scratch/${folder}`, 0o700);
}

const lookEveryMs = 10;
/** A disk that announced itself is there much sooner. One that was plugged in before the controller's driver was ready never does. */
const [searchAfterMs, searchEveryMs] = [500, 2000];

/** @throws FileError `diskMissing` after the limit */
export async function awaitDisks(serials: readonly string[], limitMs: number): Promise<void> {
  const begun = sys.monotonic();
  const end = begun + limitMs;
  for (let searchAt = begun + searchAfterMs; ;) {
    const seen = disksBySerial();
    const missing = serials.filter((serial) => !exists(seen.get(serial) ?? '/nowhere'));
    if (missing.length === 0) return;
    const now = sys.monotonic();
    if (now > end) throw new FileError('diskMissing', `the guest sees no disk with serial ${missing.join(', ')}`);
    if (now >= searchAt) {
      searchForDisks();
      searchAt = now + searchEveryMs;
    }
    await pause(lookEveryMs);
  }
}

const unmountTries = 40;
const unmountEveryMs = 50;

/**
 * Unmounts the disk's file system for good; a container that is just going may hold it a moment longer.
 * @throws FileError `diskBusy` where something goes on using it
 */
export async function releaseDisk(serial: string): Promise<void> {
  for (const folder of [`/images/${serial}`, `/volumes/${serial}`]) {
    for (let left = unmountTries; isMounted(folder); left -= 1) {
      try { sys.umount(folder, 0); } catch (error) {
        if (left === 0) throw new FileError('diskBusy', `disk ${serial} is in use (${(error as Error).message})`);
        await pause(unmountEveryMs);
      }
    }
  }
}

/** Before power-off: everything that is written to. */
export function unmountDisks(): void {
  for (const folder of [...listFolder('/volumes').map((serial) => `/volumes/${serial}`), '/scratch']) {
    freeze(folder, false); // a frozen file system would never be unmounted
    try { sys.umount(folder, 0); } catch { unmount(folder); }
  }
  sys.sync();
}

export function freezeDisk(serial: string, frozen: boolean): void {
  const folder = `/volumes/${serial}`;
  if (!isMounted(folder)) return; // what is not mounted does not change
  freeze(folder, frozen);
}

function freeze(folder: string, frozen: boolean): void {
  if (isMounted(folder)) sys.freeze(folder, frozen ? 1 : 0);
}
