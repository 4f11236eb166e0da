/** Chance comes in through the door, so planners can be replayed from a seed. */
import { randomBytes } from 'node:crypto';

export interface Dice {
  /** Uniform random bytes. */
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1). */
  fraction(): number;
}

export const systemDice: Dice = {
  bytes: (count) => randomBytes(count),
  fraction: () => randomBytes(4).readUInt32LE() / 2 ** 32,
};

/** Repeatable dice for tests and simulations (xorshift32); not for secrets. */
export function seededDice(seed: number): Dice {
  let state = (seed | 0) || 0x9e3779b9;
  const next = () => {
    state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
    return state >>> 0;
  };
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next() >>> 24),
    fraction: () => next() / 2 ** 32,
  };
}
