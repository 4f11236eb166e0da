/** The way out of the machine, whatever carries it. */

export interface PortEvents {
  bytes(bytes: Uint8Array): void;
  /** Nobody is at the other end any more. */
  gone(): void;
}

export interface Port {
  /** Bytes taken, -1 where none can be now. */
  write(from: Uint8Array): number;
  /** Calls once when `write` may take bytes again; null forgets it. */
  whenWritable(work: (() => void) | null): void;
  /** The kernel says that something has changed. */
  lookAgain(): void;
}
