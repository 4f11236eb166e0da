/** QEMU passes the suite of all engines, for both architectures, with our guest OS inside. */
import { existsSync } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { architectures, silentLog, type Architecture, type Instance } from '#base';
import { engineContract, type EngineUnderTest } from '../engine.contract.ts';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { openQemuEngine } from './index.ts';

for (const architecture of architectures) engineContract(`qemu ${architecture}`, () => setup(architecture));

async function setup(architecture: Architecture): Promise<EngineUnderTest> {
  const root = await mkdtemp('/tmp/strata-q-');
  const instance: Instance = { name: architecture === 'x86_64' ? 'qtx' : 'qta', stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: architecture === 'x86_64' ? 211 : 212 };
  const openEngine = () => openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg' });
  await ensureGuestOs(architecture, { instance });
  let disks = 0;
  return {
    engine: openEngine(),
    laterEngine: openEngine,
    bootLimitMs: 60_000,
    spec: (changes) => testMachine({ engine: 'qemu', architecture, memoryMiB: 256, scratchMiB: 64, network: null, ...changes }),
    disk: async () => {
      disks += 1;
      const path = join(root, `disk-${disks}.raw`);
      const file = await open(path, 'wx', 0o600);
      try { await file.truncate(4 * 1024 * 1024); } finally { await file.close(); }
      return { serial: `disk-${disks}`, path, format: 'raw', readOnly: false };
    },
    traces: (id) => tracesOf(instance, id),
    close: () => rm(root, { recursive: true, force: true }),
  };
}

/** Processes that name the machine, its folders, its claim of a uid, its cgroups. */
async function tracesOf(instance: Instance, id: string): Promise<readonly string[]> {
  const traces: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(id)) traces.push(`process ${pid}`);
  }
  for (const path of [join(instance.runDir, 'q', id), join(instance.stateDir, 'qemu', id)]) if (existsSync(path)) traces.push(path);
  const claims = join(instance.stateDir, 'qemu-uids');
  for (const name of await readdir(claims).catch(() => [])) if ((await readFile(join(claims, name), 'utf8')) === id) traces.push(`uid ${name}`);
  for (const hierarchy of await readdir('/sys/fs/cgroup').catch(() => [])) {
    for (const path of [join('/sys/fs/cgroup', `strata-${instance.name}`, id), join('/sys/fs/cgroup', hierarchy, `strata-${instance.name}`, id)]) if (existsSync(path)) traces.push(path);
  }
  return traces;
}
