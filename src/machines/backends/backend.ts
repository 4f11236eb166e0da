/** The records of a back end: what is wished (`backend/<id>`) and what was last seen (`backend-status/<id>`). */
import { z } from 'zod';
import { machineDiskSchema } from '../machine.ts';

export const backendSchema = z.strictObject({
  id: z.string(),
  machineId: z.string().describe('the machine it serves; removed with it'),
  disk: machineDiskSchema,
  memoryMiB: z.int().describe('of the machine'),
  /** Changing it asks for one restart. */
  restartToken: z.string().optional(),
});
export type Backend = z.infer<typeof backendSchema>;

export const backendPhases = ['running', 'failed', 'stopped', 'unknown'] as const;

export const backendStatusSchema = z.strictObject({
  id: z.string(),
  phase: z.enum(backendPhases),
  why: z.string().describe('why it is in this phase, for people; empty when it is as wished'),
  process: z.strictObject({ bootId: z.string(), pid: z.int(), startTicks: z.int() }).nullable(),
  startedAt: z.int().nullable(),
  endedAt: z.int().nullable(),
  restarts: z.int().describe('starts after ends that nobody asked for'),
  failures: z.int().describe('ends in a row soon after a start'),
  restartToken: z.string().nullable().describe('of the wish that this start answers'),
  log: z.array(z.strictObject({ at: z.int(), text: z.string() })).describe('what happened to it last, with what it said itself'),
});
export type BackendStatus = z.infer<typeof backendStatusSchema>;

const keptLines = 100;
/** One that ran so long had no bad start. */
const wellAfterMs = 10_000;

export const blankStatus = (id: string): BackendStatus => ({ id, phase: 'stopped', why: '', process: null, startedAt: null, endedAt: null, restarts: 0, failures: 0, restartToken: null, log: [] });

export function logged(status: BackendStatus, at: number, text: string): BackendStatus {
  return { ...status, log: [...status.log, { at, text: text.slice(0, 1000) }].slice(-keptLines) };
}

/** It ended without being asked to. Twice the same as once: what has no process has ended already. */
export function endedByItself(before: BackendStatus, how: string, at: number): BackendStatus {
  if (before.process === null) return before;
  const well = before.startedAt !== null && at - before.startedAt >= wellAfterMs;
  return logged({ ...before, phase: 'failed', why: how, process: null, endedAt: at, failures: well ? 0 : before.failures + 1 }, at, how);
}

/** As an earlier daemon left it, which may have had no time to say so. */
export function foundRunning(before: BackendStatus, process: NonNullable<BackendStatus['process']>, now: number): BackendStatus {
  if (before.phase === 'running' && before.process !== null) return before;
  return { ...before, phase: 'running', why: '', process, startedAt: before.startedAt ?? now };
}

/** It lives, as far as anybody knows, and cannot be looked at. */
export function unreachable(before: BackendStatus, why: string): BackendStatus {
  return before.phase === 'unknown' && before.why === why ? before : { ...before, phase: 'unknown', why };
}
