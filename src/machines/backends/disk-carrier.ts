/** Who has a disk open and is told over QMP what to do with it: QEMU or qemu-storage-daemon. */
import type { Clock } from '#base';
import type { Monitor } from '../qemu/qmp/open-monitor.ts';

export interface DiskCarrier {
  readonly monitor: Monitor;
  /** Makes a file readable for it, and without `readOnly` writable; the answer is the name by which it opens it. */
  handIn(name: string, path: string, readOnly?: boolean): Promise<string>;
  /** Idempotent; also where an earlier daemon handed it in. */
  takeBack(name: string): Promise<void>;
  /** The files on the host that it opened by these names; null: the one that the machine's wish names. */
  pathsOf(filenames: readonly string[]): Promise<readonly (string | null)[]>;
  readonly clock: Clock;
}

export interface DiskWork { readonly signal?: AbortSignal | undefined; readonly progress?: ((fraction: number) => void) | undefined }
