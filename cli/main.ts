/**
 * The strata command: builds the parser from the declarations, loads the one verb that is called, and
 * turns how it ended into an exit code. Starts in a blink because nothing else is loaded.
 */
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { runCommandLine } = await import('./run-command-line.ts');
const { ownCaller } = await import('./caller.ts');
const { exitCodes } = await import('./verb.ts');

// Told by the launcher's client, for us alone: our children have other callers.
const resident = process.env['STRATA_RESIDENT'];
delete process.env['STRATA_RESIDENT'];

// `strata logs | head` or `strata --help | head` closes our stdout; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => { process.exit(error.code === 'EPIPE' ? exitCodes.ok : exitCodes.failed); });

const interrupt = new AbortController();
const onSignal = () => {
  // The first asks politely, so that terminals are restored and operations cancelled; the second does not.
  if (interrupt.signal.aborted) process.exit(exitCodes.interrupted);
  interrupt.abort(new Error('interrupted'));
};
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

let warms = false;
process.exitCode = await runCommandLine(ownCaller(), { interrupted: interrupt.signal, chosen: (verb) => { warms = verb.resident === true || verb.name === 'up'; } });
process.off('SIGINT', onSignal);
process.off('SIGTERM', onSignal);

// Whoever looks once looks again: the next command that only asks need not wait for Node to start.
if (warms && resident === 'absent' && process.exitCode === exitCodes.ok && process.getuid?.() === 0) {
  const { startResident } = await import('./resident/start-resident.ts');
  startResident();
}
