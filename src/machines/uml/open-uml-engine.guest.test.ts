/** UML passes the suite of all engines, with our guest OS inside. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLog, type Instance } from '#base';
import { engineContract, type EngineUnderTest } from '../engine.contract.ts';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { vmmTraces } from '../testing/vmm-traces.ts';
import { openUmlEngine } from './index.ts';

engineContract('uml', setup);

async function setup(): Promise<EngineUnderTest> {
  const root = await mkdtemp('/tmp/strata-u-');
  const instance: Instance = { name: 'utx', stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 191 };
  const openEngine = () => openUmlEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance, flavour: 'uml' }) });
  await ensureGuestOs('x86_64', { instance, flavour: 'uml' });
  let disks = 0;
  return {
    engine: openEngine(),
    laterEngine: openEngine,
    bootLimitMs: 30_000,
    spec: (changes) => testMachine({ engine: 'uml', architecture: 'x86_64', memoryMiB: 128, scratchMiB: 64, network: null, ...changes }),
    disk: async () => {
      disks += 1;
      const path = join(root, `disk-${disks}.raw`);
      const file = await open(path, 'wx', 0o600);
      try { await file.truncate(4 * 1024 * 1024); } finally { await file.close(); }
      return { serial: `disk-${disks}`, path, format: 'raw', readOnly: false };
    },
    traces: (id) => vmmTraces(instance, id),
    close: () => rm(root, { recursive: true, force: true }),
  };
}
