/**
 * Who a long-lived process is: boot id, pid and start time together. A pid alone is reused within
 * seconds, so nothing is ever signalled or adopted by pid alone (reliability.md F3).
 */
import { readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly bootId: string;
  readonly pid: number;
  /** Clock ticks after boot at which the process started: field 22 of /proc/<pid>/stat, proc(5). */
  readonly startTicks: number;
}

/** Identity of a running process, or undefined when there is no such process or it is a zombie. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  try {
    const fields = statFields(await readFile(`/proc/${pid}/stat`, 'utf8'));
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return { bootId: hostBootId(), pid, startTicks: Number(fields[19]) };
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Whether exactly this process still runs. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const now = await identifyProcess(identity.pid);
  return now !== undefined && now.bootId === identity.bootId && now.startTicks === identity.startTicks;
}

/** Signals exactly this process; false when it is gone already. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isAlive(identity))) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** The host kernel's boot id; changes with every boot. */
export function hostBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Fields of /proc/<pid>/stat from field 3 on (the command in brackets may hold spaces and brackets). */
function statFields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
