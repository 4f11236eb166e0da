/** For the suite of pooled machines: an engine with its pool on this host's network, what is started on it, and the end of all of it after each test. */
import { deepEqual, ok } from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { armFailpoints, silentLog, systemClock, waitUntil, type Instance } from '#base';
import { macOfAddress, openHostNetwork, type HostNetwork } from '#pool';
import type { Engine, PooledShapeView, RunningMachine } from '../engine.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { openMachinePool, type MachinePool } from '../pooled/open-machine-pool.ts';
import { readHostMemory, type HostMemory } from '../pooled/read-host-memory.ts';
import { greetAgent, type OpenedAgentConnection } from './greet-agent.ts';
import { testMachine } from './test-daemon.ts';
import { runName } from './test-taps.ts';
import { vmmTraces } from './vmm-traces.ts';

export interface PoolingEngine extends Engine {
  sweep(): Promise<void>;
  close(): Promise<void>;
}

/** What an engine's own test tells of it. */
export interface PoolOfEngine<E extends PoolingEngine> {
  readonly letter: string;
  readonly subnet: number;
  /** A small machine of it, without card or scratch disk. */
  readonly shape: Partial<MachineSpec>;
  openEngine(instance: Instance, network: HostNetwork, pool: MachinePool): E;
  /** What has to be there before the pool is filled. */
  prepare?(engine: E, spec: MachineSpec): Promise<void>;
  pooledIds(instance: Instance): Promise<readonly string[]>;
  /** All that the host has of the pool: processes, folders, claims of uids, taps. */
  leftOfPool(instance: Instance): Promise<readonly string[]>;
  /** What a daemon does once. */
  begin?(engine: E): Promise<void>;
  /** The last engine goes. */
  end?(engine: E): Promise<void>;
}

export interface PooledBench<E extends PoolingEngine> {
  readonly instance: Instance;
  readonly network: HostNetwork;
  /** Of this test. */
  readonly engine: E;
  /** As a later daemon opens it. */
  openEngine(): E;
  readonly pooledIds: () => Promise<readonly string[]>;
  /** Stand-in of the host's memory, until the test ends. */
  setMemory(memory: () => Promise<HostMemory>): void;
  /** A machine without card or scratch disk; it is erased after the test. */
  wish(changes?: Partial<MachineSpec>): MachineSpec;
  /** One that has all that a machine can have. */
  whole(changes?: Partial<MachineSpec>): MachineSpec;
  start(spec: MachineSpec): Promise<RunningMachine>;
  /** Of what was started or found; let go of after the test. */
  keep(machine: RunningMachine): RunningMachine;
  erase(spec: MachineSpec, machine: RunningMachine): Promise<void>;
  shelfOf(spec: MachineSpec): PooledShapeView | undefined;
  /** The pool holds one of this shape, whose id is returned; where nobody started one yet, somebody does. */
  filled(spec: MachineSpec): Promise<string>;
  agentOf(machine: RunningMachine): Promise<OpenedAgentConnection>;
  newDisk(serial: string): Promise<MachineDisk>;
  begin(): void;
  endTest(): Promise<void>;
  end(): Promise<void>;
}

export async function openPooledBench<E extends PoolingEngine>(of: PoolOfEngine<E>): Promise<PooledBench<E>> {
  const root = await mkdtemp(`/tmp/strata-p${of.letter}-`);
  const instance: Instance = { name: runName(of.letter), stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: of.subnet };
  const network = openHostNetwork({ instance, log: silentLog });
  await network.ensure();
  let memory: () => Promise<HostMemory> = readHostMemory;
  let cards = 1;
  const [engines, wishes, machines, agents]: [E[], MachineSpec[], RunningMachine[], OpenedAgentConnection[]] = [[], [], [], []];
  const pooledIds = () => of.pooledIds(instance);

  const self: PooledBench<E> = {
    instance, network, pooledIds,
    get engine() { const [first] = engines; ok(first !== undefined); return first; },
    openEngine() {
      const one = of.openEngine(instance, network, openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0, memory: () => memory() }));
      engines.push(one);
      return one;
    },
    setMemory(other) { memory = other; },
    wish(changes) {
      const spec = testMachine({ scratchMiB: 0, network: null, ...of.shape, ...changes });
      wishes.push(spec);
      return spec;
    },
    whole(changes) {
      cards += 1;
      const address = `10.${of.subnet}.0.${cards}`;
      return self.wish({ scratchMiB: 64, network: { mac: macOfAddress(address), address }, ...changes });
    },
    keep(machine) { machines.push(machine); return machine; },
    start: async (spec) => self.keep(await self.engine.start(spec)),
    async erase(spec, machine) {
      await machine.kill();
      await machine.release();
      await self.engine.erase(spec.id);
    },
    shelfOf: (spec) => self.engine.pooled?.().find((one) => one.memoryMiB === spec.memoryMiB && one.scratchMiB === spec.scratchMiB && one.card === (spec.network !== null)),
    async filled(spec) {
      await of.prepare?.(self.engine, spec);
      if (self.shelfOf(spec) === undefined) {
        const first = self.wish({ ...spec, id: testMachine().id, disks: [] });
        await self.erase(first, await self.start(first));
      }
      await waitUntil(() => self.shelfOf(spec)?.ready === 1, { what: 'the pool is filled', limitMs: 120_000, everyMs: 20 }).catch((thrown: unknown) => { throw new Error(JSON.stringify(self.engine.pooled?.()), { cause: thrown }); });
      const [id = ''] = await pooledIds();
      return id;
    },
    async agentOf(machine) {
      const agent = await greetAgent(machine, 60_000);
      agents.push(agent);
      return agent;
    },
    async newDisk(serial) {
      const path = join(root, `${serial}.raw`);
      const file = await open(path, 'w', 0o600);
      try { await file.truncate(1024 * 1024); } finally { await file.close(); }
      return { serial, path, format: 'raw', readOnly: false };
    },
    begin() { self.openEngine(); },
    async endTest() {
      armFailpoints('');
      memory = readHostMemory;
      for (const agent of agents.splice(0)) agent.close();
      for (const machine of machines.splice(0)) await machine.release();
      for (const { id } of wishes.splice(0)) {
        await self.engine.erase(id);
        deepEqual(await vmmTraces(instance, id), []);
      }
      for (const one of engines.splice(0)) await one.close();
      let left: readonly string[] = [];
      // A process that was ended is seen until the kernel is through with it.
      await waitUntil(async () => (left = await of.leftOfPool(instance)).length === 0, { what: 'of the pool nothing is left', limitMs: 10_000 }).catch(() => deepEqual(left, [], 'of the pool nothing is left'));
    },
    async end() {
      self.begin();
      await of.end?.(self.engine);
      await self.engine.close();
      await network.erase();
      await rm(root, { recursive: true, force: true });
    },
  };
  await of.begin?.(self.openEngine());
  await self.endTest();
  return self;
}

/** A file of the guest, as text. */
export const fileOf = async (agent: OpenedAgentConnection, path: string): Promise<string> => Buffer.from((await agent.call('fileRead', { container: '', path, offset: 0, length: 4096 })).content, 'base64').toString().trim();

/** The guest's clock, which tells whole seconds of its start. */
export async function timeOf(agent: OpenedAgentConnection): Promise<number> {
  const booted = Number(/^btime (\d+)$/m.exec(await fileOf(agent, '/proc/stat'))?.[1]);
  return (booted + Number((await fileOf(agent, '/proc/uptime')).split(' ')[0])) * 1000;
}
