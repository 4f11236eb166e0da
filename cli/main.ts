/**
 * The strata command: builds the parser from the declarations, loads the one verb that is called, and
 * turns how it ended into an exit code. Starts in a blink because nothing else is loaded.
 */
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { runCommandLine } = await import('./run-command-line.ts');
process.exitCode = await runCommandLine(process.argv.slice(2));
