/** Runs the host's preparation (Debian packages, guest OS) before the daemon's first start; it says on stderr what it does. */
import { spawn } from 'node:child_process';
import { ClientProblem } from '#client';
import { programArgv } from './program-argv.ts';

/** @throws ClientProblem `client.hostNotPrepared` where it fails; what was missing stands on stderr already */
export function prepareHost(signal: AbortSignal): Promise<void> {
  const [node, ...args] = programArgv('prepare-host.ts');
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, { stdio: ['ignore', process.stderr, process.stderr] });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    child.once('error', reject);
    child.once('exit', (code, killed) => {
      signal.removeEventListener('abort', stop);
      if (signal.aborted) reject(signal.reason as Error);
      else if (code === 0) resolve();
      else reject(new ClientProblem({ code: 'client.hostNotPrepared', detail: `preparing the host failed (${killed ?? `exit code ${code}`})`, advice: 'see the lines above; `strata doctor` lists what is missing' }));
    });
  });
}
