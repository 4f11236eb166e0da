/**
 * The port of back ends: what serves a disk to a VMM from a process of its own. `qemu-storage-daemon` is its driver. A
 * driver acts on one back end at a time and remembers nothing: whoever restarts finds running ones through `find`.
 */
import type { ProcessIdentity } from '#base';
import type { VmmExit } from '../engine.ts';
import type { MachineDisk } from '../machine.ts';
import type { DiskOperations } from './disk-operations.ts';

export interface BackendSpec {
  readonly id: string;
  readonly disk: MachineDisk;
  /** Of the machine it serves: its memory is counted as the back end's where that touches it first. */
  readonly memoryMiB: number;
}

export interface RunningBackend {
  readonly id: string;
  readonly process: ProcessIdentity;
  /** Resolves when it has ended, however it ended. */
  readonly exited: Promise<VmmExit>;
  /** Of its one disk. */
  readonly disks: DiskOperations;
  /** Ends it at once and waits until it is gone. What the guest was told is written was handed to the host before. */
  kill(): Promise<VmmExit>;
  /** Lets go of it without touching it. */
  release(): void;
}

export type FoundBackend =
  | { readonly found: 'running'; readonly backend: RunningBackend }
  | { readonly found: 'gone'; readonly exit: VmmExit | null }
  | { readonly found: 'unknown'; readonly why: string };

export interface DiskBackends {
  /** Returns when the disk is served; a VMM that was connected to an earlier process of this id finds it. @throws StrataError `backend.failed` */
  start(spec: BackendSpec, signal?: AbortSignal): Promise<RunningBackend>;
  /** What an earlier start left; 'gone' only where its end is proved. */
  find(id: string): Promise<FoundBackend>;
  /** Ends it and removes its traces. The disk stays. Idempotent. */
  erase(id: string): Promise<void>;
}
