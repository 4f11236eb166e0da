/** The pool of UML with real guests: what a machine that stood still before it was anybody's has and has not, and every moment in which a daemon may end. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { armFailpoints, childEnvironment, isAlive, runProcess, signalProcess, silentLog, systemClock, systemDice, waitUntil, type Instance } from '#base';
import { macOfAddress, openHostNetwork, type HostNetwork } from '#pool';
import { openAgentConnection, type OpenedAgentConnection } from '../../agent/open-agent-connection.ts';
import type { PooledShapeView, RunningMachine } from '../../engine.ts';
import { guestMachineId } from '../../guest-identity.ts';
import { ensureGuestOs } from '../../guest-os/ensure-guest-os.ts';
import { readKeeperRecord } from '../../launcher/index.ts';
import { statusField } from '../../launcher/testing/stand-in-vmm.ts';
import type { MachineDisk, MachineSpec } from '../../machine.ts';
import { openMachinePool } from '../../pooled/open-machine-pool.ts';
import { isPooledId } from '../../pooled/pooled-id.ts';
import { readHostMemory, type HostMemory } from '../../pooled/read-host-memory.ts';
import { testMachine } from '../../testing/test-daemon.ts';
import { runName } from '../../testing/test-taps.ts';
import { vmmTraces } from '../../testing/vmm-traces.ts';
import { uidOwners } from '../../vmm/allocate-uid.ts';
import { openUmlEngine, type UmlEngine } from '../index.ts';
import { umlPlaces } from '../uml-places.ts';
import { descendantsOf } from './stand-still.ts';

const subnet = 218;
const instance: Instance = { name: runName('v'), stateDir: '', runDir: '', cacheDir: '/var/cache/strata', subnet };
let root: string;
let own: Instance;
let network: HostNetwork;
let engine: UmlEngine;
let memory: () => Promise<HostMemory> = readHostMemory;
const opened: UmlEngine[] = [];
const wished: MachineSpec[] = [];
const running: RunningMachine[] = [];
const agents: OpenedAgentConnection[] = [];

before(async () => {
  root = await mkdtemp('/tmp/strata-up-');
  own = { ...instance, stateDir: join(root, 's'), runDir: join(root, 'r') };
  network = openHostNetwork({ instance: own, log: silentLog });
  await network.ensure();
  await openEngine().prove(); // measures the delay loop, as a daemon does
});
beforeEach(() => { engine = openEngine(); });
afterEach(async () => {
  armFailpoints('');
  memory = readHostMemory;
  for (const agent of agents.splice(0)) agent.close();
  for (const machine of running.splice(0)) await machine.release();
  for (const { id } of wished.splice(0)) {
    await engine.erase(id);
    deepEqual(await vmmTraces(own, id), []);
  }
  for (const one of opened.splice(0)) await one.close();
  deepEqual(await left(), [], 'of the pool nothing is left');
});
after(async () => {
  await network.erase();
  await rm(root, { recursive: true, force: true });
});

function openEngine(): UmlEngine {
  const pool = openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0, memory: () => memory() });
  const one = openUmlEngine({ instance: own, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, { instance: own, flavour: 'uml' }), network, pool });
  opened.push(one);
  return one;
}

const pooledIds = async (): Promise<readonly string[]> => (await readdir(join(own.runDir, 'u')).catch(() => [])).filter(isPooledId);
/** Whatever there is: processes under a uid of this instance, ids of the pool, taps. */
async function left(): Promise<readonly string[]> {
  const firstUid = 100_000 + subnet * 65_536;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const uids = await Promise.all(pids.map((pid) => stat(`/proc/${pid}`).then(({ uid }) => uid, () => 0)));
  const processes = pids.filter((_pid, at) => (uids[at] ?? 0) >= firstUid && (uids[at] ?? 0) < firstUid + 65_536);
  const ids = [...await pooledIds(), ...await readdir(join(own.stateDir, 'uml')).catch(() => []), ...await uidOwners(own)].filter(isPooledId);
  return [...processes.map((pid) => `process ${pid}`), ...ids, ...(await readdir('/sys/class/net')).filter((name) => name.startsWith(`${own.name}-t`))];
}

let cards = 1;
function wish(changes: Partial<MachineSpec> = {}): MachineSpec {
  const spec = testMachine({ engine: 'uml', architecture: 'x86_64', memoryMiB: 128, scratchMiB: 0, network: null, ...changes });
  wished.push(spec);
  return spec;
}
function whole(changes: Partial<MachineSpec> = {}): MachineSpec {
  cards += 1;
  const address = `10.${subnet}.0.${cards}`;
  return wish({ scratchMiB: 64, network: { mac: macOfAddress(address), address }, ...changes });
}

async function start(spec: MachineSpec, by: UmlEngine = engine): Promise<RunningMachine> {
  const machine = await by.start(spec);
  running.push(machine);
  return machine;
}
const shelfOf = (spec: MachineSpec, by: UmlEngine = engine): PooledShapeView | undefined => by.pooled?.().find((one) => one.memoryMiB === spec.memoryMiB && one.scratchMiB === spec.scratchMiB && one.card === (spec.network !== null));
/** The pool holds one of this shape; where nobody started one yet, somebody does. */
async function filled(spec: MachineSpec, by: UmlEngine = engine): Promise<string> {
  if (shelfOf(spec, by) === undefined) {
    const first = wish({ ...spec, id: testMachine().id, disks: [] });
    await (await start(first, by)).kill();
    await by.erase(first.id);
  }
  await waitUntil(() => shelfOf(spec, by)?.ready === 1, { what: 'the pool is filled', limitMs: 60_000, everyMs: 20 }).catch((thrown: unknown) => { throw new Error(JSON.stringify(by.pooled?.()), { cause: thrown }); });
  const [id = ''] = await pooledIds();
  return id;
}

async function agentOf(machine: RunningMachine): Promise<OpenedAgentConnection> {
  const agent = await openAgentConnection(await machine.openAgentLine(), { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 30_000 });
  agents.push(agent);
  return agent;
}
const read = async (agent: OpenedAgentConnection, path: string): Promise<string> => Buffer.from((await agent.call('fileRead', { container: '', path, offset: 0, length: 4096 })).content, 'base64').toString().trim();
/** The guest's clock. */
async function timeOf(agent: OpenedAgentConnection): Promise<number> {
  const booted = Number(/^btime (\d+)$/m.exec(await read(agent, '/proc/stat'))?.[1]);
  return (booted + Number((await read(agent, '/proc/uptime')).split(' ')[0])) * 1000;
}

async function newDisk(serial: string): Promise<MachineDisk> {
  const path = join(root, `${serial}.raw`);
  const file = await open(path, 'w', 0o600);
  try { await file.truncate(1024 * 1024); } finally { await file.close(); }
  return { serial, path, format: 'raw', readOnly: false };
}

test('[U13] a start that finds none boots and is a miss; the pool is filled for the next, which says so, also to a later daemon; another shape finds none', { timeout: 200_000 }, async () => {
  const spec = wish();
  deepEqual((await start(spec)).startedBy, { way: 'cold', why: 'no pooled machine of its size stood ready' });
  await filled(spec);
  const shelf = shelfOf(spec);
  deepEqual([shelf?.engine, shelf?.accelerator, shelf?.size, shelf?.ready, shelf?.hits, shelf?.misses, shelf?.refills, shelf?.why], ['uml', 'none', 1, 1, 0, 1, 1, '']);
  ok((shelf?.heldBytes ?? 0) > 5_000_000 && (shelf?.heldBytes ?? 0) < 100_000_000 && (shelf?.refillMs ?? 0) > 0, JSON.stringify(shelf));
  const other = wish({ memoryMiB: 160 });
  equal((await start(other)).startedBy?.way, 'cold', 'and no pooled one of another size');
  equal(shelfOf(other)?.misses, 1);
  await filled(spec);
  const next = wish();
  const taken = await engine.start(next);
  deepEqual(taken.startedBy, { way: 'pool', why: '' });
  equal(shelfOf(next)?.hits, 1);
  await taken.release();
  const found = await openEngine().adopt(next);
  ok(found.found === 'running', found.found);
  running.push(found.machine);
  deepEqual(found.machine.startedBy, { way: 'pool', why: '' });
  await agentOf(found.machine);
});

test('[U14] each has its own name, ids, MAC, time and random numbers (P43), and none is given twice', { timeout: 200_000 }, async () => {
  const seen: string[][] = [];
  for (let number = 0; number < 3; number += 1) {
    const spec = whole();
    const taken = await filled(spec);
    const machine = await start(spec);
    equal(machine.startedBy?.way, 'pool');
    equal((await pooledIds()).includes(taken), false, 'it is out of the pool');
    const agent = await agentOf(machine);
    ok(Math.abs(await timeOf(agent) - Date.now()) < 2500, 'the clock is right');
    deepEqual(await Promise.all(['/proc/sys/kernel/hostname', '/etc/machine-id', '/sys/class/net/eth0/address'].map((path) => read(agent, path))), [spec.name, guestMachineId(spec.id), spec.network?.mac]);
    seen.push([agent.hello.bootId, await read(agent, '/proc/sys/kernel/random/boot_id'), await read(agent, '/proc/sys/kernel/random/uuid'), String(machine.process.pid)]);
    agent.close();
    await machine.kill();
    await engine.erase(spec.id);
  }
  for (const at of [0, 1, 2, 3]) equal(new Set(seen.map((one) => one[at])).size, 3, JSON.stringify(seen));
});

test('[M41] of two starts at once one is refused, and the other has the machine', { timeout: 200_000 }, async () => {
  const spec = whole();
  await filled(spec);
  const [first, second] = await Promise.allSettled([start(spec), start(spec)]);
  deepEqual([first?.status, second?.status], ['fulfilled', 'rejected']);
  equal((second as PromiseRejectedResult).reason.code, 'machine.alreadyRuns');
  equal(running.at(-1)?.startedBy?.way, 'pool');
  await agentOf(running.at(-1) as RunningMachine);
});

test('[U15] it has card, disks and console, stands still and goes on, and leaves nothing, neither under its id nor under the one it had; nor does its next start', { timeout: 200_000 }, async () => {
  const disk = await newDisk('v-1');
  const spec = whole({ disks: [disk] });
  const taken = await filled(spec);
  await network.ensureTap(spec.id); // as the controller does before each start
  const machine = await start(spec);
  equal(machine.startedBy?.way, 'pool');
  const tap = await network.ensureTap(spec.id);
  equal((await readFile(`/sys/class/net/${tap}/carrier`, 'utf8')).trim(), '1', 'the tap has its UML');
  equal((await readFile(`/sys/class/net/${tap}/ifalias`, 'utf8')).trim(), spec.id);
  const agent = await agentOf(machine);
  equal(Number(await read(agent, '/sys/class/net/eth0/flags')) & 1, 1, 'the guest\'s card is up');
  await agent.call('awaitDisks', { serials: [disk.serial, 'scratch'], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
  deepEqual((await machine.disks()).toSorted(), ['scratch', disk.serial]);
  equal(existsSync(umlPlaces(own, spec.id).scratch), true);
  ok((await machine.consoleLog()).length > 100, 'its console has words');
  await machine.pause();
  equal(await machine.isPaused(), true);
  await machine.resume();
  equal(await read(agent, '/proc/sys/kernel/hostname'), spec.name);
  agent.close();
  ok((await uidOwners(own)).has(taken));
  await machine.kill();
  await machine.release();
  await start(spec);
  equal((await uidOwners(own)).has(taken), false, 'given back when it is started again');
  deepEqual(await vmmTraces(own, taken), []);
  await engine.erase(spec.id);
  deepEqual(await vmmTraces(own, spec.id), []);
});

/** Of proc(5): scheduling policy; ticks of processor time. */
const statOf = async (pid: number): Promise<readonly string[]> => (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
const policyOf = async (pid: number): Promise<number> => Number((await statOf(pid))[38]);
const ticksOf = async (pids: readonly number[]): Promise<number> => (await Promise.all(pids.map(statOf))).reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0);

test('[U16] it takes no processor time, is confined and has the rank of any; while it was made it gave way; one whose UML ends is gone and another is made', { timeout: 200_000 }, async () => {
  const spec = wish();
  const id = await filled(spec);
  const record = await readKeeperRecord(umlPlaces(own, id).runFolder);
  ok(record !== undefined);
  const all = [record.vmm.pid, ...await descendantsOf(record.vmm.pid)];
  ok(all.length > 1, 'its kernel among them');
  for (const pid of all) {
    equal(await policyOf(pid), 0);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) equal(Number.parseInt(await statusField(pid, set), 16), 0, set);
  }
  const before = await ticksOf(all);
  await systemClock.wait(1000); // what shows that nothing happens is time that passes
  equal(await ticksOf(all), before);
  await signalProcess(record.vmm, 'SIGKILL');
  const next = await waitUntil(async () => {
    const [other] = (await pooledIds()).filter((one) => one !== id);
    return other !== undefined && await readKeeperRecord(umlPlaces(own, other).runFolder) || false;
  }, { what: 'another is being made', limitMs: 60_000, everyMs: 2 });
  equal(await policyOf(next.vmm.pid), 5, 'SCHED_IDLE');
  await filled(spec);
  deepEqual(await vmmTraces(own, id), []);
});

test('[U17] under pressure all of it is given back, and the reason is told', { timeout: 200_000 }, async () => {
  const spec = wish();
  await filled(spec);
  const { promise: taken, resolve } = Promise.withResolvers<void>(); // the pool looks only when the start has looked
  memory = async () => { await taken; return { ...await readHostMemory(), availableBytes: 1 }; };
  equal((await start(spec).finally(resolve)).startedBy?.way, 'pool', 'a start still takes what is there');
  await waitUntil(() => shelfOf(spec)?.why === 'the host has little free memory' && shelfOf(spec)?.ready === 0, { what: 'it says why', limitMs: 30_000 });
  await waitUntil(async () => (await pooledIds()).length === 0, { what: 'all are ended', limitMs: 30_000 });
});

test('[U19] one that was taken and cannot be used is ended, and the machine boots', { timeout: 200_000 }, async () => {
  for (const point of ['taken', 'beforeHandOver', 'handedOver', 'identified']) {
    const spec = whole();
    const taken = await filled(spec);
    armFailpoints(`machines.uml.${point}=1*error`);
    equal((await start(spec)).startedBy?.way, 'cold', point);
    deepEqual(await vmmTraces(own, taken), [], point);
    equal((await readFile(`/sys/class/net/${await network.ensureTap(spec.id)}/carrier`, 'utf8')).trim(), '1', point);
  }
  equal(shelfOf(whole())?.hits, 0);
});

for (const point of ['standing', 'taken', 'beforeHandOver', 'handedOver', 'identified'] as const) {
  test(`[U18] a daemon killed when one is ${point} leaves nothing that is used: the next ends it and starts the machine`, { timeout: 200_000 }, async () => {
    const [first, second] = [whole(), whole()];
    const program = `
      import { openUmlEngine } from '${import.meta.dirname}/../index.ts';
      import { ensureGuestOs } from '${import.meta.dirname}/../../guest-os/ensure-guest-os.ts';
      import { openMachinePool } from '${import.meta.dirname}/../../pooled/open-machine-pool.ts';
      import { silentLog, systemClock, waitUntil } from '${import.meta.dirname}/../../../base/index.ts';
      import { openHostNetwork } from '${import.meta.dirname}/../../../pool/index.ts';
      const instance = ${JSON.stringify(own)};
      const pool = openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0 });
      const engine = openUmlEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance, flavour: 'uml' }), network: openHostNetwork({ instance, log: silentLog }), pool });
      await engine.start(${JSON.stringify(first)});
      await waitUntil(() => engine.pooled().some((one) => one.ready === 1), { what: 'the pool is filled', limitMs: 60_000 });
      await engine.start(${JSON.stringify(second)});`;
    const env = { ...childEnvironment, STRATA_FAILPOINTS: `machines.uml.${point}=kill` };
    await rejects(runProcess([process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program], { env, timeoutMs: 120_000 }), /SIGKILL/);
    await engine.sweep();
    deepEqual(await pooledIds(), []);
    const found = await engine.adopt(first);
    ok(found.found === 'running', 'the guest beside it is not touched');
    running.push(found.machine);
    equal((await engine.adopt(second)).found, 'gone');
    const machine = await start(second);
    equal(machine.startedBy?.way, 'cold');
    equal(await isAlive(machine.process), true);
    await agentOf(machine);
  });
}
