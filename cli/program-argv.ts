/** How our own programs are run: the same Node, the options they need. */
import { fileURLToPath } from 'node:url';

const program = (name: string): string => fileURLToPath(new URL(`../src/bin/${name}`, import.meta.url));
// A small young generation costs the daemon nothing it would notice and saves some megabytes.
const nodeOptions = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=1'];

/** argv of one of our programs on the same Node. */
export const programArgv = (name: 'strata-daemon.ts' | 'prepare-host.ts' | 'clear-host.ts', ...args: string[]): [string, ...string[]] => [process.execPath, ...nodeOptions, program(name), ...args];
