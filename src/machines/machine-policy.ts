/** Limits of this layer in one place; tests shorten them. All in milliseconds. */
export interface MachinePolicy {
  /** From the wish to stop until the VMM is killed: containers get their own grace within it. */
  readonly stopGraceMs: number;
  /** A guest that never answers after a start is given up after this; emulated guests on a busy host are slow. */
  readonly bootLimitMs: number;
  /** Pause between looks at a machine's health, and how long an answer may take. Their sum is how late silence is noticed. */
  readonly lookEveryMs: number;
  readonly answerLimitMs: number;
  /** A VMM that does not answer is killed and started again after this. */
  readonly hungLimitMs: number;
  /** A guest that does not answer while its VMM does: it may be busy, so it gets longer. */
  readonly silentLimitMs: number;
  /** What is found alive but unreachable and is to be gone anyway is ended after this. */
  readonly unreachableGraceMs: number;
  /** Pause before a start after a failure, doubling up to the longest; forgotten after the machine ran well for a while. */
  readonly firstBackOffMs: number;
  readonly longestBackOffMs: number;
  readonly wellAfterMs: number;
}

export const machinePolicy: MachinePolicy = {
  stopGraceMs: 40_000, bootLimitMs: 180_000, lookEveryMs: 3_000, answerLimitMs: 5_000, hungLimitMs: 60_000, silentLimitMs: 180_000,
  unreachableGraceMs: 10_000, firstBackOffMs: 1_000, longestBackOffMs: 300_000, wellAfterMs: 60_000,
};
