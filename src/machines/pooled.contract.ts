/**
 * The suite that pooled machines of every engine pass, with real guests: what a machine that stood still before it was anybody's
 * has and has not, and every moment in which a daemon may end.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { armFailpoints, childEnvironment, isAlive, runProcess, signalProcess, waitUntil, type Instance } from '#base';
import type { StartedBy, RunningMachine } from './engine.ts';
import { guestMachineId } from './guest-identity.ts';
import { readKeeperRecord } from './launcher/index.ts';
import { statusField } from './launcher/testing/stand-in-vmm.ts';
import { readHostMemory } from './pooled/read-host-memory.ts';
import { fileOf, openPooledBench, timeOf, type PooledBench, type PoolingEngine, type PoolOfEngine } from './testing/pooled-bench.ts';
import { vmmTraces } from './testing/vmm-traces.ts';
import { uidOwners } from './vmm/allocate-uid.ts';

export interface PoolUnderTest<E extends PoolingEngine> extends PoolOfEngine<E> {
  readonly engine: 'qemu' | 'uml';
  readonly accelerator: 'tcg' | 'none';
  /** How a machine starts where none stands ready. */
  readonly otherwise: StartedBy;
  /** That one holds. */
  readonly mostBytes: number;
  /** Steps of making one at which a daemon may end; those of taking one are every engine's. */
  readonly making: readonly string[];
  /** Files of the guest that no two have alike. */
  readonly ownFiles: readonly string[];
  runFolderOf(instance: Instance, id: string): string;
  scratchOf(instance: Instance, id: string): string;
  /** The VMM and all that is below it. */
  processesOf(vmm: number): Promise<readonly number[]>;
  /** @throws where it does not */
  standsStill(instance: Instance, id: string, processes: readonly number[]): Promise<void>;
  /** Text of a program that opens `engine` on that instance with a pool of one for each shape. */
  program(instance: Instance): string;
}

const taking = ['taken', 'beforeHandOver', 'handedOver', 'identified'] as const;

/** Declares the tests; returns the bench, for tests of what only that engine does. */
export function pooledContract<E extends PoolingEngine>(it: PoolUnderTest<E>): () => PooledBench<E> {
  const name = it.engine;
  let bench: PooledBench<E>;
  before(async () => { bench = await openPooledBench(it); });
  beforeEach(() => bench.begin());
  afterEach(() => bench.endTest());
  after(() => bench.end());

  const limits = { timeout: 300_000 };
  const carrier = async (id: string): Promise<string> => (await readFile(`/sys/class/net/${await bench.network.ensureTap(id)}/carrier`, 'utf8')).trim();

  test(`[M83] a start that finds none is a miss; the pool is filled for the next, which says so, also to a later daemon; another shape finds none (${name})`, limits, async () => {
    const spec = bench.wish();
    await it.prepare?.(bench.engine, spec);
    deepEqual((await bench.start(spec)).startedBy, it.otherwise);
    await bench.filled(spec);
    const shelf = bench.shelfOf(spec);
    deepEqual([shelf?.engine, shelf?.accelerator, shelf?.size, shelf?.ready, shelf?.hits, shelf?.misses, shelf?.refills, shelf?.why], [it.engine, it.accelerator, 1, 1, 0, 1, 1, '']);
    ok((shelf?.heldBytes ?? 0) > 1_000_000 && (shelf?.heldBytes ?? 0) < it.mostBytes && (shelf?.refillMs ?? 0) > 0, JSON.stringify(shelf));
    const other = bench.wish({ memoryMiB: 160 });
    equal((await bench.start(other)).startedBy?.way, 'cold', 'and no pooled one of another size');
    equal(bench.shelfOf(other)?.misses, 1);
    await bench.filled(spec);
    const next = bench.wish();
    const taken = await bench.engine.start(next);
    deepEqual(taken.startedBy, { way: 'pool', why: '' });
    equal(bench.shelfOf(next)?.hits, 1);
    await taken.release();
    const found = await bench.openEngine().adopt(next);
    ok(found.found === 'running', found.found);
    bench.keep(found.machine);
    deepEqual(found.machine.startedBy, { way: 'pool', why: '' });
    await bench.agentOf(found.machine);
  });

  test(`[M84] each has its own name, ids, MAC, time and random numbers (P43), and none is given twice (${name})`, limits, async () => {
    const seen: string[][] = [];
    for (let number = 0; number < 3; number += 1) {
      const spec = bench.whole();
      const taken = await bench.filled(spec);
      const machine = await bench.start(spec);
      equal(machine.startedBy?.way, 'pool');
      equal((await bench.pooledIds()).includes(taken), false, 'it is out of the pool');
      const agent = await bench.agentOf(machine);
      const asked = Date.now(); // a busy host takes its time to answer
      const said = await timeOf(agent);
      ok(said > asked - 2500 && said < Date.now() + 2500, `the clock is right: ${said - asked} ms`);
      deepEqual(await Promise.all(['/proc/sys/kernel/hostname', '/etc/machine-id', '/sys/class/net/eth0/address'].map((path) => fileOf(agent, path))), [spec.name, guestMachineId(spec.id), spec.network?.mac]);
      seen.push([agent.hello.bootId, ...await Promise.all(it.ownFiles.map((path) => fileOf(agent, path))), String(machine.process.pid)]);
      agent.close();
      await bench.erase(spec, machine);
    }
    for (const at of seen[0]?.keys() ?? []) equal(new Set(seen.map((one) => one[at])).size, 3, JSON.stringify(seen));
  });

  test(`[M41] of two starts at once one is refused, and the other has the machine of the pool (${name})`, limits, async () => {
    const spec = bench.whole();
    await bench.filled(spec);
    const [first, second] = await Promise.allSettled([bench.start(spec), bench.start(spec)]);
    equal((second as PromiseRejectedResult).reason?.code, 'machine.alreadyRuns');
    const machine = (first as PromiseFulfilledResult<RunningMachine>).value;
    equal(machine.startedBy?.way, 'pool');
    await bench.agentOf(machine);
  });

  test(`[M85] it has card, disks and console, stands still and goes on, and leaves nothing, neither under its id nor under the one it had; nor does its next start (${name})`, limits, async () => {
    const disk = await bench.newDisk('v-1');
    const spec = bench.whole({ disks: [disk] });
    const taken = await bench.filled(spec);
    await bench.network.ensureTap(spec.id); // as a start that broke off may have left it
    const machine = await bench.start(spec);
    equal(machine.startedBy?.way, 'pool');
    equal(await carrier(spec.id), '1', 'the tap has its VMM');
    equal((await readFile(`/sys/class/net/${await bench.network.ensureTap(spec.id)}/ifalias`, 'utf8')).trim(), spec.id);
    const agent = await bench.agentOf(machine);
    equal(Number(await fileOf(agent, '/sys/class/net/eth0/flags')) & 1, 1, 'the guest\'s card is up');
    await agent.call('awaitDisks', { serials: [disk.serial, 'scratch'], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
    deepEqual((await machine.disks()).toSorted(), ['scratch', disk.serial]);
    equal(existsSync(it.scratchOf(bench.instance, spec.id)), true);
    ok((await machine.consoleLog()).length > 100, 'its console has words');
    await machine.pause();
    equal(await machine.isPaused(), true);
    await machine.resume();
    equal(await fileOf(agent, '/proc/sys/kernel/hostname'), spec.name);
    agent.close();
    ok((await uidOwners(bench.instance)).has(taken));
    await machine.kill();
    await machine.release();
    await bench.start(spec);
    equal((await uidOwners(bench.instance)).has(taken), false, 'given back when it is started again');
    deepEqual(await vmmTraces(bench.instance, taken), []);
    await bench.engine.erase(spec.id);
    deepEqual(await vmmTraces(bench.instance, spec.id), []);
  });

  /** Scheduling policies of all threads. */
  async function policiesOf(pid: number): Promise<readonly number[]> {
    const stats = await Promise.all((await readdir(`/proc/${pid}/task`)).map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8')));
    return stats.map((stat) => Number(stat.replace(/^.*\) /, '').split(' ')[38]));
  }

  test(`[M86] it stands still, is confined and has the rank of any; while it was made it gave way; one whose VMM ends is gone and another is made (${name})`, limits, async () => {
    const spec = bench.wish();
    const id = await bench.filled(spec);
    const record = await readKeeperRecord(it.runFolderOf(bench.instance, id));
    ok(record !== undefined);
    const processes = await it.processesOf(record.vmm.pid);
    for (const pid of processes) {
      deepEqual(new Set(await policiesOf(pid)), new Set([0]));
      for (const set of ['CapPrm', 'CapEff', 'CapBnd']) equal(Number.parseInt(await statusField(pid, set), 16), 0, set);
    }
    await it.standsStill(bench.instance, id, processes);
    await signalProcess(record.vmm, 'SIGKILL');
    const next = await waitUntil(async () => {
      const [other] = (await bench.pooledIds()).filter((one) => one !== id);
      return other !== undefined && await readKeeperRecord(it.runFolderOf(bench.instance, other)) || false;
    }, { what: 'another is being made', limitMs: 60_000, everyMs: 2 });
    equal((await policiesOf(next.vmm.pid))[0], 5, 'SCHED_IDLE');
    await bench.filled(spec);
    deepEqual(await vmmTraces(bench.instance, id), []);
  });

  test(`[M87] under pressure all of it is given back, and the reason is told (${name})`, limits, async () => {
    const spec = bench.wish();
    await bench.filled(spec);
    const { promise: taken, resolve } = Promise.withResolvers<void>(); // the pool looks only when the start has looked
    bench.setMemory(async () => { await taken; return { ...await readHostMemory(), availableBytes: 1 }; });
    equal((await bench.start(spec).finally(resolve)).startedBy?.way, 'pool', 'a start still takes what is there');
    await waitUntil(() => bench.shelfOf(spec)?.why === 'the host has little free memory' && bench.shelfOf(spec)?.ready === 0, { what: 'it says why', limitMs: 30_000 });
    await waitUntil(async () => (await bench.pooledIds()).length === 0, { what: 'all are ended', limitMs: 30_000 });
  });

  test(`[M88] one that was taken and cannot be used is ended, and the machine starts as where there is none (${name})`, limits, async () => {
    for (const point of taking) {
      const spec = bench.whole();
      const taken = await bench.filled(spec);
      armFailpoints(`machines.${it.engine}.${point}=1*error`);
      equal((await bench.start(spec)).startedBy?.way, it.otherwise.way, point);
      deepEqual(await vmmTraces(bench.instance, taken), [], point);
      equal(await carrier(spec.id), '1', point);
    }
    equal(bench.shelfOf(bench.whole())?.hits, 0);
  });

  for (const point of [...it.making, ...taking]) {
    test(`[M89] a daemon killed when one is ${point} leaves nothing that is used: the next ends it and starts the machine (${name})`, limits, async () => {
      const [first, second] = [bench.whole(), bench.whole()];
      await it.prepare?.(bench.engine, first);
      const program = `${it.program(bench.instance)}
        await engine.start(${JSON.stringify(first)});
        await waitUntil(() => engine.pooled().some((one) => one.ready === 1), { what: 'the pool is filled', limitMs: 120_000 });
        await engine.start(${JSON.stringify(second)});`;
      const env = { ...childEnvironment, STRATA_FAILPOINTS: `machines.${it.engine}.${point}=kill` };
      await rejects(runProcess([process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program], { env, timeoutMs: 200_000 }), /SIGKILL/);
      await bench.engine.sweep();
      deepEqual(await bench.pooledIds(), []);
      const found = await bench.engine.adopt(first);
      ok(found.found === 'running', 'the guest beside it is not touched');
      bench.keep(found.machine);
      equal((await bench.engine.adopt(second)).found, 'gone');
      const machine = await bench.start(second);
      equal(machine.startedBy?.way, it.otherwise.way);
      equal(await isAlive(machine.process), true);
      await bench.agentOf(machine);
    });
  }

  return () => bench;
}
