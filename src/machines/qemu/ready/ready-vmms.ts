/** QEMUs that were started for forks beside the copying, as whoever copies and starts machines asks for them. */
import type { KeeperRecord } from '../../launcher/index.ts';
import type { MachineSpec } from '../../machine.ts';
import type { VmmSockets } from '../../vmm/vmm-sockets.ts';
import type { Monitor } from '../qmp/open-monitor.ts';
import type { StartRecord } from '../start-record.ts';

/** A QEMU in the machine's own folder that waits for its state, and has no disks yet. */
export interface WaitingVmm {
  readonly record: KeeperRecord;
  /** As it is to be told once it has its state; in its folder it is not ready until then. */
  readonly begun: StartRecord;
  readonly monitor: Monitor;
  readonly sockets: VmmSockets;
  /** The descriptor it reads its state from. */
  readonly state: number;
}

/** None of it throws: without such a QEMU a fork is started as any machine that goes on from a snapshot. */
export interface ReadyVmms {
  /** Begins to start one for the machine `id`, which is to go on as a copy of this one. Twice is as once. */
  begin(id: string, original: { readonly spec: MachineSpec; readonly start: StartRecord }): void;
  /** The snapshot that it goes on from is whole and lies in this folder: its memory and devices are handed in. */
  fill(id: string, snapshotId: string, folder: string): void;
  /** Whether one is there or coming. */
  has(id: string): boolean;
  /** Whose memory and devices are of that snapshot, which lies in this folder now, once it is ready; from then on it is the caller's. Undefined where it came to nothing, of which nothing is left then. */
  take(id: string, snapshotId: string, folder: string): Promise<WaitingVmm | undefined>;
  /** Nobody needs it any more; returns when nothing is left of it. */
  drop(id: string): Promise<void>;
  close(): Promise<void>;
}
