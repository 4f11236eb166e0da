/** Starts the daemon for a command that found none; the host is prepared first. */
import { ensureDaemon, type Places } from '#client';
import { prepareHost } from './prepare-host.ts';
import { programArgv } from './program-argv.ts';

/** Returns when it is ready. @throws ClientProblem `client.daemonDied`, `client.daemonSlow`, `client.hostNotPrepared` */
export async function startDaemon(places: Places, say: (line: string) => void, signal: AbortSignal): Promise<void> {
  await ensureDaemon({ places, signal, daemonArgv: programArgv('strata-daemon.ts'), progress: (message) => say(`strata: ${message}`), prepare: () => prepareHost(signal) });
}
