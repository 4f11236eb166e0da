/** The pool of UML passes the suite of pooled machines: each is a guest whose processes are stopped. */
import { equal, ok } from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProcess, silentLog, systemClock, waitUntil } from '#base';
import type { HostNetwork } from '#pool';
import { ensureGuestOs } from '../../guest-os/ensure-guest-os.ts';
import { pooledContract } from '../../pooled.contract.ts';
import { isPooledId } from '../../pooled/pooled-id.ts';
import { uidOwners } from '../../vmm/allocate-uid.ts';
import { openUmlEngine, type UmlEngine } from '../index.ts';
import { umlPlaces } from '../uml-places.ts';
import { descendantsOf } from './stand-still.ts';

const namesIn = (folder: string): Promise<readonly string[]> => readdir(folder).catch(() => []);
/** Of proc(5): ticks of processor time. */
async function ticksOf(pids: readonly number[]): Promise<number> {
  const stats = await Promise.all(pids.map(async (pid) => (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ')));
  return stats.reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0);
}

const subnet = 218;
/** Of a host that takes its time with it: the tap is down for so long, which a new name takes a moment for. */
let tapDownMs = 0;
async function handOver(network: HostNetwork, from: string, to: string): Promise<void> {
  if (tapDownMs > 0) await runProcess(['ip', 'link', 'set', 'dev', await network.ensureTap(from), 'down']);
  await systemClock.wait(tapDownMs);
  await network.handOverTap(from, to);
}
const bench = pooledContract<UmlEngine>({
  engine: 'uml', accelerator: 'none', letter: 'v', subnet, shape: { engine: 'uml', architecture: 'x86_64', memoryMiB: 128 },
  otherwise: { way: 'cold', why: 'no pooled machine of its size stood ready' }, mostBytes: 100_000_000, making: ['standing'],
  ownFiles: ['/proc/sys/kernel/random/boot_id', '/proc/sys/kernel/random/uuid'],
  openEngine: (instance, network, pool) => openUmlEngine({ instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, { instance, flavour: 'uml' }), network: { ...network, handOverTap: (from, to) => handOver(network, from, to) }, pool }),
  pooledIds: async (instance) => (await namesIn(join(instance.runDir, 'u'))).filter(isPooledId),
  async begin(engine) { await engine.prove(); }, // measures the delay loop
  /** Also any process under a uid of this instance. */
  async leftOfPool(instance) {
    const firstUid = 100_000 + subnet * 65_536;
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const uids = await Promise.all(pids.map((pid) => stat(`/proc/${pid}`).then(({ uid }) => uid, () => 0)));
    const processes = pids.filter((_pid, at) => (uids[at] ?? 0) >= firstUid && (uids[at] ?? 0) < firstUid + 65_536);
    const ids = [...await namesIn(join(instance.runDir, 'u')), ...await namesIn(join(instance.stateDir, 'uml')), ...await uidOwners(instance)].filter(isPooledId);
    return [...processes.map((pid) => `process ${pid}`), ...ids, ...(await readdir('/sys/class/net')).filter((name) => name.startsWith(`${instance.name}-t`))];
  },
  runFolderOf: (instance, id) => umlPlaces(instance, id).runFolder,
  scratchOf: (instance, id) => umlPlaces(instance, id).scratch,
  processesOf: async (vmm) => [vmm, ...await descendantsOf(vmm)],
  async standsStill(_instance, _id, processes) {
    ok(processes.length > 1, 'its kernel among them');
    const before = await ticksOf(processes);
    await systemClock.wait(1000); // what shows that nothing happens is time that passes
    equal(await ticksOf(processes), before, 'it takes no processor time');
  },
  program: (instance) => `
    import { openUmlEngine } from '${import.meta.dirname}/../index.ts';
    import { ensureGuestOs } from '${import.meta.dirname}/../../guest-os/ensure-guest-os.ts';
    import { openMachinePool } from '${import.meta.dirname}/../../pooled/open-machine-pool.ts';
    import { silentLog, systemClock, waitUntil } from '${import.meta.dirname}/../../../base/index.ts';
    import { openHostNetwork } from '${import.meta.dirname}/../../../pool/index.ts';
    const instance = ${JSON.stringify(instance)};
    const pool = openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0 });
    const engine = openUmlEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance, flavour: 'uml' }), network: openHostNetwork({ instance, log: silentLog }), pool });`,
});

test('[U22] its card works though its tap was down while it was taken', { timeout: 120_000 }, async () => {
  const spec = bench().whole();
  await bench().filled(spec);
  tapDownMs = 1000;
  const machine = await bench().start(spec).finally(() => { tapDownMs = 0; });
  equal(machine.startedBy?.way, 'pool');
  const tap = await bench().network.ensureTap(spec.id);
  const frames = async () => Number(await readFile(`/sys/class/net/${tap}/statistics/rx_packets`, 'utf8'));
  // It says by itself which groups it is in, and looks for a router.
  await waitUntil(async () => await frames() > 0, { what: 'a frame of its guest comes', limitMs: 20_000 });
});
