/**
 * The edge program: DNS and parking in a small process that survives the daemon.
 * `strata-edge.ts --socket PATH --state FILE [--name-port N]`; `--warm` only loads the code (to fill the compile cache).
 */
import { runEdge } from '#services/edge';

const values = new Map<string, string>();
for (let index = 2; index + 1 < process.argv.length; index += 2) values.set(process.argv[index] as string, process.argv[index + 1] as string);
const socketPath = values.get('--socket');
const statePath = values.get('--state');

if (process.argv[2] === '--warm') process.exitCode = 0;
else if (socketPath === undefined || statePath === undefined) {
  process.stderr.write('usage: strata-edge.ts --socket PATH --state FILE [--name-port N]\n');
  process.exitCode = 2;
} else await runEdge({ socketPath, statePath, namePort: Number(values.get('--name-port') ?? 53) });
