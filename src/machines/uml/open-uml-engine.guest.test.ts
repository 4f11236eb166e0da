/** UML passes the suite of all engines, with our guest OS inside: its machines booted, and taken from the pool where one is ready. */
import { ok } from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLog, systemClock, waitUntil, type Instance } from '#base';
import { engineContract, type EngineUnderTest } from '../engine.contract.ts';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import type { MachineSpec } from '../machine.ts';
import { openMachinePool, type MachinePool } from '../pooled/open-machine-pool.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { runName } from '../testing/test-taps.ts';
import { vmmTraces } from '../testing/vmm-traces.ts';
import { openUmlEngine, type UmlEngine, type UmlEngineDeps } from './index.ts';

engineContract('uml', () => setup('u'));
engineContract('uml from its pool', fromPool);

async function fromPool(): Promise<EngineUnderTest> {
  const it = await setup('w', openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0 }));
  const engine = it.engine as UmlEngine;
  const shelfOf = (spec: MachineSpec) => engine.pooled?.().find((one) => one.memoryMiB === spec.memoryMiB && one.scratchMiB === spec.scratchMiB && one.card === (spec.network !== null));
  return {
    ...it,
    engine: {
      ...engine,
      // The first of a shape boots, all others find one.
      async start(spec, signal) {
        await waitUntil(() => { const shelf = shelfOf(spec); return shelf === undefined || shelf.ready > 0; }, { what: 'the pool is filled', limitMs: 60_000, everyMs: 20 });
        return engine.start(spec, signal);
      },
    },
    async close() {
      const hits = (engine.pooled?.() ?? []).reduce((sum, one) => sum + one.hits, 0);
      await engine.close();
      await it.close();
      ok(hits >= 4, `${hits} machines came from the pool`);
    },
  };
}

async function setup(letter: string, pool?: MachinePool): Promise<EngineUnderTest> {
  const root = await mkdtemp('/tmp/strata-u-');
  const instance: Instance = { name: runName(letter), stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 191 };
  const deps: UmlEngineDeps = { instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance, flavour: 'uml' }) };
  await ensureGuestOs('x86_64', { instance, flavour: 'uml' });
  let disks = 0;
  return {
    engine: openUmlEngine(pool === undefined ? deps : { ...deps, pool }),
    laterEngine: () => openUmlEngine(deps),
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
