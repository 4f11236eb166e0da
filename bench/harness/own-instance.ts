/** An instance of Strata for one bench: own name, own subnet, own folders, gone afterwards. The cache is the host's. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Instance } from '#base';

export interface OwnInstance extends AsyncDisposable {
  readonly instance: Instance;
  readonly folder: string;
  /** For `strata` as a program. */
  readonly environment: Readonly<Record<string, string>>;
}

export async function ownInstance(name: string, subnet: number): Promise<OwnInstance> {
  // Whoever runs the benches knows it by this, also where this process could not see to its end.
  const folder = await mkdtemp(`/tmp/sb-${process.env['STRATA_BENCH'] ?? 'alone'}-`);
  const instance: Instance = { name, subnet, stateDir: join(folder, 's'), runDir: join(folder, 'r'), cacheDir: process.env['STRATA_CACHE'] ?? '/var/cache/strata' };
  return {
    instance, folder,
    environment: { STRATA_INSTANCE: name, STRATA_SUBNET: String(subnet), STRATA_STATE: instance.stateDir, STRATA_RUN: instance.runDir, STRATA_CACHE: instance.cacheDir },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
