/**
 * A container's bundle: overlay of the image under a writable layer, and the files and volumes that are mounted into it.
 * The writable layer survives restarts and goes with the container.
 */
import { close, remove } from 'os';
import * as sys from 'sys';
import type { GuestContainerSpec } from '../protocol/messages.ts';
import { mountImage, mountVolume } from './disks.ts';
import { copyContents, isMounted, listFolder, makeFolder, readTextIn, removeTree, unmount, writeBytes } from './files.ts';
import { fromBase64 } from './text.ts';
import { resolveUser, type Identity } from './users.ts';

const MS_NOATIME = 1024;
const MS_BIND = 4096;
const bundlePath = (id: string): string => `/run/containers/${id}`;
const layerPath = (id: string): string => `/scratch/layers/${id}`;

export interface Bundle {
  /** The container's root, mounted. */
  readonly root: string;
  readonly identity: Identity;
  /** The guest's place of each file mount, by target. */
  readonly files: ReadonlyMap<string, string>;
  /** Folder of each volume mount, by target. */
  readonly volumes: ReadonlyMap<string, string>;
}

/** Idempotent. */
export function prepareBundle(spec: GuestContainerSpec): Bundle {
  const bundle = bundlePath(spec.id);
  const root = `${bundle}/rootfs`;
  const layer = layerPath(spec.id);
  for (const folder of [root, `${layer}/upper`, `${layer}/work`]) makeFolder(folder);
  const image = mountImage(spec.imageSerial);
  if (!isMounted(root)) sys.mount('overlay', root, 'overlay', MS_NOATIME, `lowerdir=${image},upperdir=${layer}/upper,workdir=${layer}/work`);
  const files = new Map<string, string>();
  const volumes = new Map<string, string>();
  for (const mount of spec.mounts) {
    if (mount.kind === 'volume') {
      const volume = mountVolume(mount.serial);
      if (mount.subpath === undefined) fillVolume(root, mount.target, volume);
      volumes.set(mount.target, mount.subpath === undefined ? volume : bindPart(volume, mount.serial, mount.subpath, `${partsPath}/${spec.id}.${volumes.size}`));
    } else if (mount.kind === 'file') files.set(mount.target, writeMountedFile(bundle, files.size, mount));
  }
  const identity = resolveUser(spec.user, spec.extraGroups, readTextIn(root, '/etc/passwd'), readTextIn(root, '/etc/group'));
  return { root, identity, files, volumes };
}

/** Beside the bundles, so that what removes a bundle never walks into a volume. */
const partsPath = '/run/parts';

/** A folder of a volume, mounted where no link in the volume can lead it elsewhere. */
function bindPart(volume: string, serial: string, subpath: string, place: string): string {
  const handle = subpath.split('/').includes('..') ? -1 : sys.openIn(volume, subpath, 3, 0);
  if (handle < 0) throw new Error(`volume ${serial} has no folder ${subpath}`);
  try {
    makeFolder(place);
    sys.mount(`/proc/self/fd/${handle}`, place, null, MS_BIND, null);
    return place;
  } finally {
    close(handle);
  }
}

type FileMount = Extract<GuestContainerSpec['mounts'][number], { kind: 'file' }>;

/** Files are numbered, never named by what a user wrote; /run is memory, so a secret never reaches a disk. */
function writeMountedFile(bundle: string, number: number, mount: FileMount): string {
  const path = `${bundle}/file-${number}`;
  writeBytes(path, fromBase64(mount.content), mount.mode);
  sys.chown(path, mount.uid, mount.gid);
  sys.chmod(path, mount.mode);
  return path;
}

/** The same files with other contents, as the container sees them at once. */
export function rewriteFiles(spec: GuestContainerSpec): void {
  spec.mounts.filter((mount) => mount.kind === 'file').forEach((mount, number) => writeMountedFile(bundlePath(spec.id), number, mount));
}

const freshMark = 'lost+found';

/** As Docker: a fresh volume takes contents, owner and mode of the folder it is mounted over. */
function fillVolume(root: string, target: string, volume: string): void {
  const names = listFolder(volume);
  if (names.length !== 1 || names[0] !== freshMark) return;
  const handle = sys.openIn(root, target, 3, 0);
  if (handle >= 0) {
    try {
      const [mode, uid, gid] = sys.fstat(handle);
      copyContents(`/proc/self/fd/${handle}`, volume);
      sys.chown(volume, uid, gid);
      sys.chmod(volume, mode & 0o7777);
    } finally {
      close(handle);
    }
  }
  removeTree(`${volume}/${freshMark}`); // last, so that what was cut off in the middle begins anew
}

export function unmountBundle(spec: GuestContainerSpec): void {
  unmount(`${bundlePath(spec.id)}/rootfs`);
  for (const name of listFolder(partsPath).filter((one) => one.startsWith(`${spec.id}.`))) {
    unmount(`${partsPath}/${name}`);
    remove(`${partsPath}/${name}`); // an empty folder, or it stays
  }
}

export function removeBundle(spec: GuestContainerSpec): void {
  unmountBundle(spec);
  removeTree(bundlePath(spec.id));
  removeTree(layerPath(spec.id));
}
