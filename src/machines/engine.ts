/**
 * The engine port: what runs a machine. QEMU is the first and complete driver, `fake` serves tests, UML
 * comes next; all pass engine.contract.ts. A driver only acts on one machine at a time and remembers
 * nothing: whoever restarts finds running machines again through `adopt`.
 */
import type { Duplex } from 'node:stream';
import type { Architecture, ProcessIdentity } from '#base';
import type { DiskOperations } from './backends/disk-operations.ts';
import type { EngineName, MachineDisk, MachineSpec } from './machine.ts';
import type { EngineCopies, SnapshotWish } from './snapshots.ts';

export interface EngineCapabilities {
  readonly name: EngineName;
  readonly architectures: readonly Architecture[];
  readonly hotplugDisks: boolean;
  readonly maxDisks: number;
  readonly maxProcessors: number;
  /** With less our guest OS does not boot; what is not said is the least of any machine. */
  readonly leastMemoryMiB?: Partial<Record<Architecture, number>>;
  readonly ownDisks: boolean; // boots disks of users by firmware
  readonly pause: boolean;
  /** Said where its guests are kept apart as processes only; `auto` never takes such a one. */
  readonly isolation?: 'process';
  /** Writes memory and devices down, ends its VMM, and goes on later. */
  readonly suspend: boolean;
  /** Of disks, and of memory with them; clones and forks come of these. */
  readonly snapshot: boolean;
  /** Of the program that runs guests ('qemu 7.2.22'); proofs of another version are made again. */
  readonly version?: string;
}

/** What the host can run, proved by a guest that ran. */
export interface AcceleratorProof {
  readonly architecture: Architecture;
  readonly accelerator: 'kvm' | 'tcg' | 'none';
  readonly works: boolean;
  /** 'kernel answered after 1.9 s', 'no output within 5 s'. */
  readonly evidence: string;
}

/** How a machine came to run: by a boot, from a template, as a pooled machine that had run already, from where it was suspended, or from a copy of memory; and why by a boot where a template was wanted. */
export interface StartedBy { readonly way: 'cold' | 'template' | 'pool' | 'suspended' | 'snapshot'; readonly why: string }

/** Machines of one shape that ran once and stand still until a start takes them. */
export interface PooledShapeView {
  readonly key: string;
  readonly engine: EngineName;
  readonly architecture: Architecture;
  readonly accelerator: 'kvm' | 'tcg' | 'none';
  readonly processors: number;
  readonly memoryMiB: number;
  readonly scratchMiB: number;
  readonly card: boolean;
  /** How many are wanted, and how many there are. */
  readonly size: number;
  readonly ready: number;
  /** What the host has back when they end. */
  readonly heldBytes: number;
  /** Starts that took one, and that did not find one. */
  readonly hits: number;
  readonly misses: number;
  /** How many were made, and how long the last took in the background; null where none was yet. */
  readonly refills: number;
  readonly refillMs: number | null;
  /** Why there are fewer than wanted; empty where there are not. */
  readonly why: string;
}

export interface VmmExit { readonly code: number | null; readonly signal: string | null; readonly stderr: string; readonly at: number }

/** A machine whose VMM process runs. Only this type can be attached to, paused or asked for its agent. */
export interface RunningMachine {
  readonly id: string;
  readonly process: ProcessIdentity;
  readonly accelerator: 'kvm' | 'tcg' | 'none';
  readonly isolation: 'hardware' | 'emulated' | 'process';
  /** Default: cold. */
  readonly startedBy?: StartedBy;
  /** A new connection to the agent's line. At most one at a time is open. */
  openAgentLine(): Promise<Duplex>;
  /** The serial console, for reading and writing. */
  openConsole(): Promise<Duplex>;
  /** Last bytes the console printed, from the bounded ring (≤ 1 MiB). */
  consoleLog(): Promise<Buffer>;
  attachDisk(disk: MachineDisk): Promise<void>; // idempotent by serial
  detachDisk(serial: string): Promise<void>; // idempotent
  disks(): Promise<readonly string[]>; // serials plugged in
  /** Whether what its guest asks of a disk that a back end serves gets there; undefined where nobody can tell now. Of engines that connect again. */
  reachesBackend?(serial: string): Promise<boolean | undefined>;
  /** What can be done with disks that its VMM itself has open; undefined where its engine can do nothing with them. */
  readonly diskOperations?: DiskOperations;
  /** Its processors stand still; memory, disks and lines stay. Idempotent, as `resume` is; what is pending goes on at `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  isPaused(): Promise<boolean>;
  /**
   * Writes memory and devices to the machine's own folder and ends the VMM; the next `start` goes on from there. Again where
   * an earlier attempt was cut off. Where it fails the machine is paused, and `resume` lets it go on.
   */
  suspend?(): Promise<void>;
  /** Takes a snapshot; it stands still for a moment, and goes on whatever becomes of it. Twice the same as once. */
  snapshot?(wish: SnapshotWish): Promise<void>;
  /** Power button; the guest decides. */
  pressPowerButton(): Promise<void>;
  /** Ends the VMM at once and waits until it is gone. */
  kill(): Promise<VmmExit>;
  /** Resolves when the VMM has ended, however it ended; also across a restart of the daemon. */
  readonly exited: Promise<VmmExit>;
  /** Lets go of sockets without touching the machine. */
  release(): Promise<void>;
}

export interface Engine {
  readonly name: EngineName;
  /** Its VMMs go on when a back end that died was started again; others are restarted with it. */
  readonly connectsAgain: boolean;
  capabilities(): Promise<EngineCapabilities>;
  /** Runs a guest for each architecture and accelerator and says what happened. */
  prove(signal?: AbortSignal): Promise<readonly AcceleratorProof[]>;
  /**
   * Refuses with kind 'conflict' (`machine.alreadyRuns`) where a VMM of that id lives: one start, one VMM.
   * Starts the VMM; returns when its control socket answers (the guest still boots). Cleans up after itself on failure.
   */
  start(spec: MachineSpec, signal?: AbortSignal): Promise<RunningMachine>;
  /**
   * Finds the machine's VMM as left by an earlier daemon.
   * 'gone' only where its death is proved (`exit` says how, as kept by the launcher); 'unknown' where it lives but does not answer.
   */
  adopt(spec: MachineSpec): Promise<{ readonly found: 'running'; readonly machine: RunningMachine } | { readonly found: 'gone'; readonly exit: VmmExit | null } | { readonly found: 'unknown'; readonly why: string }>;
  /** What is kept of a machine that was suspended: `why` it cannot be used, empty where it can; undefined where nothing is. */
  suspended?(spec: MachineSpec): Promise<{ readonly why: string } | undefined>;
  /** The pool, where it keeps one. */
  pooled?(): readonly PooledShapeView[];
  /** Where it can copy machines. */
  readonly copies?: EngineCopies;
  /** What the console of a machine without a running VMM printed last; empty where none is kept. */
  consoleLog(id: string): Promise<Buffer>;
  /** Removes every trace of a machine that does not run: folder, sockets, cgroup. Idempotent. */
  erase(id: string): Promise<void>;
}
