/** For tests: a disk of a machine with a real guest, opened by its VMM or served by a back end, as a daemon and a later one have it. */
import { deepEqual, ok } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLog, type Architecture, type Instance } from '#base';
import type { Engine, RunningMachine } from '../../engine.ts';
import { ensureGuestOs } from '../../guest-os/ensure-guest-os.ts';
import type { MachineDisk } from '../../machine.ts';
import type { AgentConnection } from '../../machines.ts';
import { makeExt4Disk } from '../../make-ext4-disk.ts';
import { openQemuEngine } from '../../qemu/index.ts';
import { greetAgent, type OpenedAgentConnection } from '../../testing/greet-agent.ts';
import { testMachine } from '../../testing/test-daemon.ts';
import { openUmlEngine } from '../../uml/index.ts';
import { backendId, keptOfDisk } from '../backend-places.ts';
import type { DiskBackends, RunningBackend } from '../disk-backend.ts';
import type { DiskOperations } from '../disk-operations.ts';
import type { HeldDisk } from '../disk-snapshots.ts';
import { openStorageDaemon } from '../index.ts';

export interface FrontKind { readonly engine: 'qemu' | 'uml'; readonly architecture: Architecture; readonly served: boolean }

export interface Front {
  readonly instance: Instance;
  readonly backends: DiskBackends;
  operations(): DiskOperations;
  /** As whoever takes snapshots has it. */
  held(): HeldDisk;
  /** From now on all is that of a later daemon. */
  later(): Promise<AgentConnection>;
  agent(): AgentConnection;
  /** Of 128 MiB, with an ext4. */
  readonly disk: MachineDisk;
  /** In the guest. */
  readonly device: string;
  /** Ends and starts the machine, with something between; the disk stays. */
  restart(between?: (nobody: HeldDisk) => Promise<void>): Promise<AgentConnection>;
  close(): Promise<void>;
}

const agentOf = async (machine: RunningMachine) => greetAgent(machine);

function openEngine(instance: Instance, { engine }: FrontKind): Engine {
  const guestOs = (one: Architecture) => ensureGuestOs(one, { instance, flavour: engine === 'uml' ? 'uml' : 'machine' });
  return engine === 'uml' ? openUmlEngine({ instance, log: silentLog, guestOs }) : openQemuEngine({ instance, log: silentLog, guestOs, accelerator: async () => 'tcg' });
}

/** Each is done whatever became of those before. @throws what the first that failed threw */
async function firstFailureOf(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** @param subnet of the file's own. What fails in `work` is told as it is, also where for that reason the front cannot be closed. */
export async function withFront(kind: FrontKind, subnet: number, work: (front: Front) => Promise<void>): Promise<void> {
  const front = await startFront(kind, subnet);
  await firstFailureOf([() => work(front), () => front.close()]);
}

/** @param subnet of the file's own */
export async function startFront(kind: FrontKind, subnet: number): Promise<Front> {
  const root = await mkdtemp('/tmp/strata-bo-');
  const instance: Instance = { name: `bo${randomBytes(3).toString('hex')}`, stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet };
  const engine = openEngine(instance, kind);
  const backends = openStorageDaemon({ instance });
  const path = join(root, 's/data.raw');
  await makeExt4Disk(path, 128 * 1024 * 1024);
  const disk: MachineDisk = { serial: 'data', path, format: 'raw', readOnly: false, ...(kind.served ? { backend: 'vhost-user' } : {}) };
  const spec = testMachine({ engine: kind.engine, architecture: kind.architecture, memoryMiB: 256, scratchMiB: 0, network: null, disks: [disk] });
  const id = backendId(spec.id, disk.serial);
  const places = kind.served ? keptOfDisk(instance, spec.id, disk.serial) : engine.copies?.placesOf?.(spec.id);
  ok(places !== undefined);
  let running: { readonly machine: RunningMachine; readonly agent: OpenedAgentConnection; readonly backend: RunningBackend | undefined };

  async function start(): Promise<void> {
    const backend = kind.served ? await backends.start({ id, disk, memoryMiB: spec.memoryMiB }) : undefined;
    const machine = await engine.start(spec);
    const agent = await agentOf(machine);
    await agent.call('awaitDisks', { serials: [disk.serial], timeoutMs: 30_000 }, { timeoutMs: 60_000 });
    running = { machine, agent, backend };
  }
  async function end(): Promise<void> {
    running.agent.close();
    await running.machine.kill();
    await running.machine.release();
    await running.backend?.kill();
    running.backend?.release();
  }
  const operations = (): DiskOperations => {
    const found = running.backend?.disks ?? running.machine.diskOperations;
    ok(found !== undefined);
    return found;
  };
  const erase = () => firstFailureOf([() => backends.erase(id), () => engine.erase(spec.id)]);
  const removeFiles = () => rm(root, { recursive: true, force: true });
  await start().catch((error: unknown) => firstFailureOf([() => Promise.reject(error), erase, removeFiles]));
  return {
    instance, backends, operations, disk, device: kind.served ? '/dev/vda' : '/dev/sda',
    held: () => ({ spec, disk, places, operations: operations() }),
    agent: () => running.agent,
    async later() {
      running.agent.close();
      await running.machine.release();
      running.backend?.release();
      const [machine, backend] = await Promise.all([engine.adopt(spec), backends.find(id)]);
      ok(machine.found === 'running' && (backend.found === 'running') === kind.served);
      running = { agent: await agentOf(machine.machine), machine: machine.machine, backend: backend.found === 'running' ? backend.backend : undefined };
      return running.agent;
    },
    async restart(between) {
      await end();
      await between?.({ spec, disk, places, operations: undefined });
      await start();
      return running.agent;
    },
    async close() {
      await firstFailureOf([end, erase, async () => {
        const left = await Promise.all(['r/b', 'r/q', 'r/u', 's/qemu-uids'].map((folder) => readdir(join(root, folder)).catch(() => [])));
        deepEqual(left.flat(), [], 'nothing is left');
      }, removeFiles]);
    },
  };
}
