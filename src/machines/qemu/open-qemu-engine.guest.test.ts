/** QEMU passes the suite of all engines, for both architectures, with our guest OS inside, whether machines boot or are clones. */
import { equal } from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { architectures, silentLog, type Architecture, type Instance } from '#base';
import { engineContract, type EngineUnderTest } from '../engine.contract.ts';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { vmmTraces } from '../testing/vmm-traces.ts';
import { openQemuEngine, type QemuEngine } from './index.ts';

for (const architecture of architectures) {
  engineContract(`qemu ${architecture}`, () => setup(architecture, false));
  engineContract(`qemu ${architecture}, clones`, () => setup(architecture, true));
}

async function setup(architecture: Architecture, clones: boolean): Promise<EngineUnderTest> {
  const root = await mkdtemp('/tmp/strata-q-');
  const instance: Instance = { name: architecture === 'x86_64' ? 'qtx' : 'qta', stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: architecture === 'x86_64' ? 211 : 212 };
  const openEngine = () => openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg', ...(clones ? { templates: {} } : {}) });
  await ensureGuestOs(architecture, { instance });
  const spec: EngineUnderTest['spec'] = (changes) => testMachine({ engine: 'qemu', architecture, memoryMiB: 256, scratchMiB: 64, network: null, ...changes });
  const engine = openEngine();
  if (clones) await engine.ensureTemplate(spec());
  const later: QemuEngine[] = [];
  let disks = 0;
  return {
    engine: { ...engine, start: async (one, signal) => {
      const machine = await engine.start(one, signal);
      if (machine.startedBy?.way !== 'snapshot') equal(machine.startedBy?.way, clones ? 'template' : 'cold', machine.startedBy?.why ?? 'it does not say why');
      return machine;
    } },
    laterEngine: () => {
      const one = openEngine();
      later.push(one);
      return one;
    },
    bootLimitMs: 60_000,
    spec,
    disk: async () => {
      disks += 1;
      const path = join(root, `disk-${disks}.raw`);
      const file = await open(path, 'wx', 0o600);
      try { await file.truncate(4 * 1024 * 1024); } finally { await file.close(); }
      return { serial: `disk-${disks}`, path, format: 'raw', readOnly: false };
    },
    traces: (id) => vmmTraces(instance, id),
    close: async () => {
      for (const one of [engine, ...later]) await one.close();
      await engine.dropTemplates();
      await rm(root, { recursive: true, force: true });
    },
  };
}
