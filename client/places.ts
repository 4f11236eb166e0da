/**
 * Where the daemon of an instance is found. The same rule as src/base/instance.ts, repeated because a
 * client imports nothing of the server; a test proves that both agree.
 */
import { join } from 'node:path';

export interface Places {
  readonly instance: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly cacheDir: string;
  readonly socketPath: string;
  readonly daemonLog: string;
  readonly startLock: string;
}

export function placesFromEnvironment(env: Readonly<Record<string, string | undefined>>): Places {
  const instance = env['STRATA_INSTANCE'] ?? 'strata';
  const suffix = instance === 'strata' ? '' : `-${instance}`;
  const stateDir = env['STRATA_STATE'] ?? `/var/lib/strata${suffix}`;
  const runDir = env['STRATA_RUN'] ?? `/run/strata${suffix}`;
  return {
    instance, stateDir, runDir,
    cacheDir: env['STRATA_CACHE'] ?? '/var/cache/strata',
    socketPath: join(runDir, 'api.sock'),
    daemonLog: join(stateDir, 'daemon.log'),
    startLock: join(runDir, 'start.lock'),
  };
}
