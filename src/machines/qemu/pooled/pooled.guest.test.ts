/** The pool of QEMU passes the suite of pooled machines; and what only QEMU's do: they stand still in their VMM, and are suspended as any. */
import { deepEqual, equal } from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog, type Instance } from '#base';
import { ensureGuestOs } from '../../guest-os/ensure-guest-os.ts';
import { pooledContract } from '../../pooled.contract.ts';
import { isPooledId } from '../../pooled/pooled-id.ts';
import { vmmTraces } from '../../testing/vmm-traces.ts';
import { uidOwners } from '../../vmm/allocate-uid.ts';
import { openQemuEngine, type QemuEngine } from '../index.ts';
import { machinePlaces } from '../machine-places.ts';
import { connectQmp } from '../qmp/qmp-connection.ts';

const namesIn = (folder: string): Promise<readonly string[]> => readdir(folder).catch(() => []);

/** Whatever there is of machines: processes, folders, claims, control groups, taps. */
async function census(instance: Instance): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  const folders = await Promise.all([join(instance.runDir, 'q'), join(instance.runDir, 't'), join(instance.stateDir, 'qemu'), join(instance.stateDir, 'qemu-uids')].map(namesIn));
  const groups = await Promise.all((await namesIn('/sys/fs/cgroup')).concat('.').map(async (one) => (await namesIn(join('/sys/fs/cgroup', one, `strata-${instance.name}`))).filter((name) => name.startsWith('m') && !name.includes('.'))));
  const taps = (await readdir('/sys/class/net')).filter((name) => name.startsWith(`${instance.name}-t`));
  return [...commands.filter((one) => one.includes(instance.runDir)), ...folders.flat(), ...groups.flat(), ...taps];
}

const bench = pooledContract<QemuEngine>({
  engine: 'qemu', accelerator: 'tcg', letter: 'p', subnet: 216, shape: { engine: 'qemu', memoryMiB: 192 },
  otherwise: { way: 'template', why: '' }, mostBytes: 200_000_000, making: ['cloned', 'standing'],
  ownFiles: ['/proc/sys/kernel/random/uuid'],
  openEngine: (instance, network, pool) => openQemuEngine({ instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, { instance }), accelerator: async () => 'tcg', network, templates: { delayMs: 600_000 }, pool }),
  prepare: (engine, spec) => engine.ensureTemplate(spec),
  pooledIds: async (instance) => (await namesIn(join(instance.runDir, 'q'))).filter(isPooledId),
  leftOfPool: async (instance) => [...(await census(instance)).filter((one) => /\bmp[0-9a-f]{12}\b/.test(one)), ...[...await uidOwners(instance)].filter(isPooledId)],
  async end(engine) {
    await engine.dropTemplates();
    deepEqual(await census(engineInstance()), [], 'nothing is left');
  },
  runFolderOf: (instance, id) => machinePlaces(instance, id).runFolder,
  scratchOf: (instance, id) => machinePlaces(instance, id).scratch,
  processesOf: async (vmm) => [vmm],
  async standsStill(instance, id) {
    const qmp = await connectQmp(machinePlaces(instance, id).passing);
    equal((await qmp.execute('query-status') as { status: string }).status, 'paused');
    qmp.close();
  },
  program: (instance) => `
    import { openQemuEngine } from '${import.meta.dirname}/../index.ts';
    import { ensureGuestOs } from '${import.meta.dirname}/../../guest-os/ensure-guest-os.ts';
    import { openMachinePool } from '${import.meta.dirname}/../../pooled/open-machine-pool.ts';
    import { silentLog, systemClock, waitUntil } from '${import.meta.dirname}/../../../base/index.ts';
    import { openHostNetwork } from '${import.meta.dirname}/../../../pool/index.ts';
    const instance = ${JSON.stringify(instance)};
    const engine = openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg', network: openHostNetwork({ instance, log: silentLog }), templates: {}, pool: openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0 }) });`,
});
const engineInstance = (): Instance => bench().instance;

test('[Q52] it is suspended and goes on, the same guest, and leaves nothing', { timeout: 300_000 }, async () => {
  const spec = bench().whole();
  const taken = await bench().filled(spec);
  const machine = await bench().start(spec);
  equal(machine.startedBy?.way, 'pool');
  const { hello } = await bench().agentOf(machine);
  await machine.pause();
  await machine.suspend?.();
  await machine.release();
  const again = await bench().start(spec);
  deepEqual(again.startedBy, { way: 'suspended', why: '' });
  equal((await bench().agentOf(again)).hello.bootId, hello.bootId, 'the same guest');
  await again.kill();
  await bench().engine.erase(spec.id);
  deepEqual([...await vmmTraces(bench().instance, spec.id), ...await vmmTraces(bench().instance, taken)], []);
});
