/**
 * The record of a machine's last start (`machine-run/<id>`): what was handed to which engine, and how it ended.
 * It is written before the engine is asked, so whatever may run has a record; and it outlives the wish, so
 * that a machine whose record was deleted can still be found, stopped and erased.
 */
import { z } from 'zod';
import { engineNames, machineSpecSchema } from './machine.ts';
import type { MachinePolicy } from './machine-policy.ts';

export const machineRunSchema = z.strictObject({
  id: z.string(),
  spec: machineSpecSchema.describe('as it was started; the wish may have changed since'),
  engine: z.enum(engineNames),
  live: z.boolean().describe('its VMM may run; false once its end is proved'),
  restartToken: z.string().nullable().describe('token of the wish that this start answers'),
  restarts: z.int().describe('starts that nobody asked for by starting or stopping'),
  failures: z.int().describe('starts in a row that did not end as wished nor run well'),
  startedAt: z.int(),
  answeredAt: z.int().nullable(),
  endedAt: z.int().nullable(),
  end: z.enum(['wished', 'restart', 'failure', 'hostReboot']).nullable(),
  memoryLost: z.string().nullable().default(null).describe('why a start that went on from memory came to nothing: this one, or one before it; null once the guest has answered'),
});
export type MachineRun = z.infer<typeof machineRunSchema>;

export const machineRunKind = 'machine-run';

/** Milliseconds until the machine may be started again; 0: now. Bounded also where the clock was set back. */
export function startPause(run: MachineRun | undefined, now: number, policy: MachinePolicy): number {
  if (run === undefined || run.endedAt === null || run.failures === 0) return 0;
  const pause = Math.min(policy.longestBackOffMs, policy.firstBackOffMs * 2 ** Math.min(run.failures - 1, 20));
  return Math.max(0, Math.min(pause, run.endedAt + pause - now));
}
