/** One start of a machine at a time, which the pool knows of: two at once would clear and take the same folder. */
import { StrataError } from '#base';
import type { RunningMachine } from '../engine.ts';
import type { MachineSpec } from '../machine.ts';

export interface Starts {
  /** Ids of machines that are being started. */
  readonly starting: Set<string>;
  readonly pool: { startBegins(): () => void } | undefined;
}

/** @throws StrataError `machine.alreadyRuns` where it is being started already */
export async function startAlone({ starting, pool }: Starts, spec: MachineSpec, start: () => Promise<RunningMachine>): Promise<RunningMachine> {
  if (starting.has(spec.id)) throw alreadyRuns(spec);
  starting.add(spec.id);
  const ends = pool?.startBegins();
  try {
    return await start();
  } finally {
    starting.delete(spec.id);
    ends?.();
  }
}

export const alreadyRuns = ({ name }: MachineSpec): StrataError => new StrataError(`machine ${name} already runs`, { code: 'machine.alreadyRuns', kind: 'conflict', advice: 'adopt it instead of starting it' });
