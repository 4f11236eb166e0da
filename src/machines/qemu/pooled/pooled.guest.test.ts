/** The pool with real guests: what a machine that stood still before it was anybody's has and has not, and every moment in which a daemon may end. */
import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { armFailpoints, childEnvironment, isAlive, runProcess, signalProcess, silentLog, systemClock, systemDice, waitUntil, type Instance } from '#base';
import { macOfAddress, openHostNetwork, type HostNetwork } from '#pool';
import { openAgentConnection, type OpenedAgentConnection } from '../../agent/open-agent-connection.ts';
import type { PooledShapeView, RunningMachine } from '../../engine.ts';
import { ensureGuestOs } from '../../guest-os/ensure-guest-os.ts';
import { guestMachineId } from '../../guest-identity.ts';
import { readKeeperRecord } from '../../launcher/index.ts';
import { statusField } from '../../launcher/testing/stand-in-vmm.ts';
import type { MachineDisk, MachineSpec } from '../../machine.ts';
import { testMachine } from '../../testing/test-daemon.ts';
import { vmmTraces } from '../../testing/vmm-traces.ts';
import { uidOwners } from '../../vmm/allocate-uid.ts';
import { openQemuEngine, type QemuEngine } from '../index.ts';
import { machinePlaces } from '../machine-places.ts';
import { connectQmp } from '../qmp/qmp-connection.ts';
import { openMachinePool } from '../../pooled/open-machine-pool.ts';
import { isPooledId } from '../../pooled/pooled-id.ts';
import { readHostMemory, type HostMemory } from '../../pooled/read-host-memory.ts';

const subnet = 216;
let root: string;
let instance: Instance;
let network: HostNetwork;
let engine: QemuEngine;
let memory: () => Promise<HostMemory> = readHostMemory;
const engines: QemuEngine[] = [];
const specs: MachineSpec[] = [];
const machines: RunningMachine[] = [];
const agents: OpenedAgentConnection[] = [];

before(async () => {
  root = await mkdtemp('/tmp/strata-p-');
  instance = { name: `qp${randomBytes(2).toString('hex')}`, stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet };
  network = openHostNetwork({ instance, log: silentLog });
  await network.ensure();
});
beforeEach(() => { engine = openEngine(); });
afterEach(async () => {
  armFailpoints('');
  memory = readHostMemory;
  for (const agent of agents.splice(0)) agent.close();
  for (const machine of machines.splice(0)) await machine.release();
  for (const spec of specs.splice(0)) await engine.erase(spec.id);
  for (const one of engines.splice(0)) await one.close();
  deepEqual((await census()).filter((one) => /\bmp[0-9a-f]{12}\b/.test(one)), [], 'of the pool nothing is left');
});
after(async () => {
  await engine.dropTemplates();
  const left = await census();
  await network.erase();
  await rm(root, { recursive: true, force: true });
  deepEqual(left, [], 'nothing is left');
});

function openEngine(): QemuEngine {
  const one = openQemuEngine({
    instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, { instance }), accelerator: async () => 'tcg', network,
    templates: { delayMs: 600_000 }, pool: openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0, memory: () => memory() }),
  });
  engines.push(one);
  return one;
}

const namesIn = (folder: string): Promise<readonly string[]> => readdir(folder).catch(() => []);

/** Whatever there is of machines: processes, folders, claims, control groups, taps. */
async function census(): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  const folders = await Promise.all([join(instance.runDir, 'q'), join(instance.runDir, 't'), join(instance.stateDir, 'qemu'), join(instance.stateDir, 'qemu-uids')].map(namesIn));
  const groups = await Promise.all((await namesIn('/sys/fs/cgroup')).concat('.').map(async (one) => (await namesIn(join('/sys/fs/cgroup', one, `strata-${instance.name}`))).filter((name) => name.startsWith('m') && !name.includes('.'))));
  const taps = (await readdir('/sys/class/net')).filter((name) => name.startsWith(`${instance.name}-t`));
  return [...commands.filter((one) => one.includes(root)), ...folders.flat(), ...groups.flat(), ...taps];
}
const pooledIds = async (): Promise<readonly string[]> => (await namesIn(join(instance.runDir, 'q'))).filter(isPooledId);

function specOf(changes: Partial<MachineSpec> = {}): MachineSpec {
  const spec = testMachine({ engine: 'qemu', network: null, scratchMiB: 0, memoryMiB: 192, ...changes });
  specs.push(spec);
  return spec;
}
let cards = 1;
function wholeSpec(changes: Partial<MachineSpec> = {}): MachineSpec {
  cards += 1;
  const address = `10.${subnet}.0.${cards}`;
  return specOf({ scratchMiB: 64, network: { mac: macOfAddress(address), address }, ...changes });
}

async function start(spec: MachineSpec, by: QemuEngine = engine): Promise<RunningMachine> {
  const machine = await by.start(spec);
  machines.push(machine);
  return machine;
}
async function end(spec: MachineSpec, machine: RunningMachine): Promise<void> {
  await machine.release();
  await machine.kill();
  await engine.erase(spec.id);
}

async function agentOf(machine: RunningMachine): Promise<OpenedAgentConnection> {
  const agent = await openAgentConnection(await machine.openAgentLine(), { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 60_000 });
  agents.push(agent);
  return agent;
}
const textOf = async (agent: OpenedAgentConnection, path: string): Promise<string> => Buffer.from((await agent.call('fileRead', { container: '', path, offset: 0, length: 4096 })).content, 'base64').toString().trim();

async function output(agent: OpenedAgentConnection, argv: readonly string[]): Promise<Buffer> {
  const stream = agent.openStream();
  stream.input.end();
  stream.errors.resume();
  await agent.call('exec', { container: '', stream: stream.id, argv, env: [], cwd: '', user: '', tty: null, stdin: true });
  const parts: Buffer[] = [];
  for await (const chunk of stream.output) parts.push(chunk as Buffer);
  equal(await stream.done, 0);
  return Buffer.concat(parts);
}

async function newDisk(serial: string): Promise<MachineDisk> {
  const path = join(root, `${serial}.raw`);
  const file = await open(path, 'w', 0o600);
  try { await file.truncate(1024 * 1024); } finally { await file.close(); }
  return { serial, path, format: 'raw', readOnly: false };
}

const shelfOf = (spec: MachineSpec, by: QemuEngine = engine): PooledShapeView | undefined => by.pooled?.().find((one) => one.memoryMiB === spec.memoryMiB && one.scratchMiB === spec.scratchMiB && one.card === (spec.network !== null));
/** The pool holds one of this shape. */
async function filled(spec: MachineSpec, by: QemuEngine = engine): Promise<void> {
  await by.ensureTemplate(spec);
  if (shelfOf(spec, by) === undefined) {
    const first = { ...specOf(spec), id: testMachine().id };
    specs.push(first);
    const machine = await start(first, by);
    await end(first, machine);
  }
  await waitUntil(() => shelfOf(spec, by)?.ready === 1, { what: 'the pool is filled', limitMs: 120_000, everyMs: 20 }).catch((thrown: unknown) => { throw new Error(JSON.stringify(by.pooled?.()), { cause: thrown }); });
}

test('[Q50] a start that finds none is a clone and a miss; the pool is filled for the next, which says so; another shape finds none', { timeout: 300_000 }, async () => {
  const spec = specOf();
  await engine.ensureTemplate(spec);
  equal((await start(spec)).startedBy?.way, 'template');
  await filled(spec);
  const shelf = shelfOf(spec);
  deepEqual([shelf?.size, shelf?.ready, shelf?.hits, shelf?.misses, shelf?.refills, shelf?.why], [1, 1, 0, 1, 1, '']);
  ok((shelf?.heldBytes ?? 0) > 5_000_000 && (shelf?.heldBytes ?? 0) < 200_000_000 && (shelf?.refillMs ?? 0) > 0, JSON.stringify(shelf));
  const other = specOf({ memoryMiB: 160 });
  equal((await start(other)).startedBy?.way, 'cold', 'and no pooled one of another size');
  equal(shelfOf(other)?.misses, 1);
  const next = specOf();
  const taken = await engine.start(next);
  deepEqual(taken.startedBy, { way: 'pool', why: '' });
  equal(shelfOf(next)?.hits, 1);
  await taken.release();
  const later = openEngine();
  const found = await later.adopt(next);
  ok(found.found === 'running', found.found);
  machines.push(found.machine);
  deepEqual(found.machine.startedBy, { way: 'pool', why: '' }, 'a later daemon knows it too');
});

test('[Q51] each has its own name, ids, MAC, time and random numbers, and none is given twice', { timeout: 300_000 }, async () => {
  const seen: string[][] = [];
  for (let number = 0; number < 3; number += 1) {
    const spec = wholeSpec();
    await filled(spec);
    const [taken = ''] = await pooledIds();
    const machine = await start(spec);
    equal(machine.startedBy?.way, 'pool');
    equal((await pooledIds()).includes(taken), false, 'it is out of the pool');
    const agent = await agentOf(machine);
    ok(Math.abs(Number(String(await output(agent, ['/bin/date', '+%s']))) * 1000 - Date.now()) < 3000, 'the clock is right');
    deepEqual([await textOf(agent, '/proc/sys/kernel/hostname'), await textOf(agent, '/etc/machine-id'), await textOf(agent, '/sys/class/net/eth0/address')], [spec.name, guestMachineId(spec.id), spec.network?.mac]);
    seen.push([agent.hello.bootId, await textOf(agent, '/proc/sys/kernel/random/uuid'), (await output(agent, ['/bin/head', '-c', '32', '/dev/urandom'])).toString('hex'), String(machine.process.pid)]);
    agent.close();
    await end(spec, machine);
  }
  for (const at of [0, 1, 2, 3]) equal(new Set(seen.map((one) => one[at])).size, 3, JSON.stringify(seen));
});

test('[M41] of two starts at once one is refused, and the other has the machine', { timeout: 300_000 }, async () => {
  const spec = wholeSpec();
  await filled(spec);
  const [first, second] = await Promise.allSettled([start(spec), start(spec)]);
  deepEqual([first?.status, second?.status], ['fulfilled', 'rejected']);
  equal((second as PromiseRejectedResult).reason.code, 'machine.alreadyRuns');
  equal(machines.at(-1)?.startedBy?.way, 'pool');
  await agentOf(machines.at(-1) as RunningMachine);
});

test('[Q52] it has card, disks and console, is suspended and goes on, and leaves nothing, neither under its id nor under the one it had', { timeout: 300_000 }, async () => {
  const disk = await newDisk('v-1');
  const spec = wholeSpec({ disks: [disk] });
  await filled(spec);
  const [taken = ''] = await pooledIds();
  await network.ensureTap(spec.id); // as the controller does before each start
  const machine = await start(spec);
  equal(machine.startedBy?.way, 'pool');
  const tap = await network.ensureTap(spec.id);
  equal((await readFile(`/sys/class/net/${tap}/carrier`, 'utf8')).trim(), '1', 'the tap has its VMM');
  equal((await readFile(`/sys/class/net/${tap}/ifalias`, 'utf8')).trim(), spec.id);
  const agent = await agentOf(machine);
  await agent.call('awaitDisks', { serials: [disk.serial, 'scratch'], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
  deepEqual((await machine.disks()).toSorted(), ['scratch', disk.serial]);
  equal(existsSync(machinePlaces(instance, spec.id).scratch), true);
  ok((await machine.consoleLog()).length > 100, 'its console has words');
  agent.close();
  await machine.pause();
  await machine.suspend?.();
  await machine.release();
  const again = await start(spec);
  deepEqual(again.startedBy, { way: 'suspended', why: '' });
  equal((await agentOf(again)).hello.bootId, agent.hello.bootId, 'the same guest');
  await again.kill();
  await engine.erase(spec.id);
  deepEqual([...await vmmTraces(instance, spec.id), ...await vmmTraces(instance, taken)], []);
});

test('[Q52] what it held under its pool id is given back when it is started again', { timeout: 300_000 }, async () => {
  const spec = specOf();
  await filled(spec);
  const [taken = ''] = await pooledIds();
  const machine = await start(spec);
  equal(machine.startedBy?.way, 'pool');
  ok((await uidOwners(instance)).has(taken));
  await machine.kill();
  await machine.release();
  const again = await start(spec);
  equal((await uidOwners(instance)).has(taken), false);
  deepEqual(await vmmTraces(instance, taken), []);
  await again.kill();
});

test('[Q54] it stands still and has the rank of any; while it was made it gave way; one whose VMM ends is gone and another is made', { timeout: 300_000 }, async () => {
  const spec = specOf();
  await filled(spec);
  const [id = ''] = await pooledIds();
  const record = await readKeeperRecord(machinePlaces(instance, id).runFolder);
  ok(record !== undefined);
  const qmp = await connectQmp(machinePlaces(instance, id).passing);
  equal((await qmp.execute('query-status') as { status: string }).status, 'paused');
  qmp.close();
  const policyOf = async (pid: number | string) => Number((await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ')[38]);
  for (const thread of await readdir(`/proc/${record.vmm.pid}/task`)) equal(await policyOf(`${record.vmm.pid}/task/${thread}`), 0);
  for (const set of ['CapPrm', 'CapEff', 'CapBnd']) equal(Number.parseInt(await statusField(record.vmm.pid, set), 16), 0, set);
  await signalProcess(record.vmm, 'SIGKILL');
  const next = await waitUntil(async () => {
    const [other] = (await pooledIds()).filter((one) => one !== id);
    const made = other === undefined ? undefined : await readKeeperRecord(machinePlaces(instance, other).runFolder);
    return made !== undefined && made;
  }, { what: 'another is being made', limitMs: 60_000, everyMs: 2 });
  equal(await policyOf(next.vmm.pid), 5, 'SCHED_IDLE');
  await filled(spec);
  deepEqual(await vmmTraces(instance, id), []);
});

test('[Q53] under pressure all of it is given back, and the reason is told', { timeout: 300_000 }, async () => {
  const spec = specOf();
  await filled(spec);
  const { promise: taken, resolve } = Promise.withResolvers<void>(); // the pool looks only when the start has looked
  memory = async () => { await taken; return { ...await readHostMemory(), availableBytes: 1 }; };
  const machine = await start(spec).finally(resolve);
  equal(machine.startedBy?.way, 'pool', 'a start still takes what is there');
  await waitUntil(() => shelfOf(spec)?.why === 'the host has little free memory' && shelfOf(spec)?.ready === 0, { what: 'it says why', limitMs: 30_000 });
  await waitUntil(async () => (await pooledIds()).length === 0, { what: 'all are ended', limitMs: 30_000 });
});

test('[Q56] one that was taken and cannot be used is ended, and the machine is a clone', { timeout: 300_000 }, async () => {
  const by = openEngine();
  for (const point of ['taken', 'beforeHandOver', 'handedOver', 'identified']) {
    const spec = wholeSpec();
    await filled(spec, by);
    const [taken = ''] = await pooledIds();
    armFailpoints(`machines.qemu.${point}=1*error`);
    equal((await start(spec, by)).startedBy?.way, 'template', point);
    deepEqual(await vmmTraces(instance, taken), [], point);
    equal(await readFile(`/sys/class/net/${await network.ensureTap(spec.id)}/carrier`, 'utf8').then((text) => text.trim()), '1', point);
  }
  equal(shelfOf(wholeSpec(), by)?.hits, 0);
  await by.close();
});

const making = ['cloned', 'standing'] as const;
for (const point of [...making, 'taken', 'beforeHandOver', 'handedOver', 'identified'] as const) {
  test(`[Q55] a daemon killed when one is ${point} leaves nothing that is used: the next ends it and starts the machine`, { timeout: 300_000 }, async () => {
    const [first, second] = [wholeSpec(), wholeSpec()];
    await engine.ensureTemplate(first);
    const program = `
      import { openQemuEngine } from '${import.meta.dirname}/../index.ts';
      import { ensureGuestOs } from '${import.meta.dirname}/../../guest-os/ensure-guest-os.ts';
      import { openMachinePool } from '${import.meta.dirname}/../../pooled/open-machine-pool.ts';
      import { silentLog, systemClock, waitUntil } from '${import.meta.dirname}/../../../base/index.ts';
      import { openHostNetwork } from '${import.meta.dirname}/../../../pool/index.ts';
      const instance = ${JSON.stringify(instance)};
      const engine = openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg', network: openHostNetwork({ instance, log: silentLog }), templates: {}, pool: openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0 }) });
      await engine.start(${JSON.stringify(first)});
      await waitUntil(() => engine.pooled().some((one) => one.ready === 1), { what: 'the pool is filled', limitMs: 120_000 });
      await engine.start(${JSON.stringify(second)});`;
    const env = { ...childEnvironment, STRATA_FAILPOINTS: `machines.qemu.${point}=kill` };
    await rejects(runProcess([process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program], { env, timeoutMs: 200_000 }), /SIGKILL/);
    const by = openEngine();
    await by.sweep();
    deepEqual(await pooledIds(), []);
    const found = await by.adopt(first);
    ok(found.found === 'running', 'the clone beside it is not touched');
    machines.push(found.machine);
    notEqual((await by.adopt(second)).found, 'running');
    const machine = await start(second, by);
    equal(machine.startedBy?.way, 'template');
    equal(await isAlive(machine.process), true);
    await by.erase(first.id);
    await by.erase(second.id);
    await by.close();
    deepEqual((await census()).filter((one) => /\bmp[0-9a-f]{12}\b/.test(one)), []);
    deepEqual([...await uidOwners(instance)].filter((owner) => isPooledId(owner)), []);
  });
}
