/** How our own programs are run: the same Node, the options they need. */
import { fileURLToPath } from 'node:url';

const program = (name: string): string => fileURLToPath(new URL(`../src/bin/${name}`, import.meta.url));
// A young generation of 4 MiB: with 1, a tenth of the daemon's work while an app comes up was collecting; more saves little and is kept.
const nodeOptions = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4'];

/** argv of one of our programs on the same Node. */
export const programArgv = (name: 'strata-daemon.ts' | 'prepare-host.ts' | 'clear-host.ts', ...args: string[]): [string, ...string[]] => [process.execPath, ...nodeOptions, program(name), ...args];
