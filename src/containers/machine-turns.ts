/**
 * Disks of a machine are shared by its containers, so whoever plugs one in and whoever asks if anybody still
 * needs it do so one after the other: else a disk would be counted on while it is being taken away.
 */
export interface MachineTurns {
  /** Runs `work` once all earlier work of that machine has ended, however it ended. */
  inTurn<T>(machineId: string, work: () => Promise<T>): Promise<T>;
}

export function machineTurns(): MachineTurns {
  const tails = new Map<string, Promise<void>>();
  return {
    inTurn(machineId, work) {
      const mine = (tails.get(machineId) ?? Promise.resolve()).then(work);
      const settled: Promise<void> = mine.then(() => undefined, () => undefined).then(() => { if (tails.get(machineId) === settled) tails.delete(machineId); });
      tails.set(machineId, settled);
      return mine;
    },
  };
}
