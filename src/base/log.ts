/** Structured log lines on stderr (pino); secrets never reach it because records carry only their names. */
import { pino, type Logger } from 'pino';

export type Log = Logger;

/** The program's log; STRATA_LOG_LEVEL sets the level (default info). */
export function openLog(program: string, level = process.env['STRATA_LOG_LEVEL'] ?? 'info'): Log {
  return pino({ name: program, level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
}

/** A log that keeps nothing, for tests. */
export const silentLog: Log = pino({ level: 'silent' });
