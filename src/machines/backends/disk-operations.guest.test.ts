/** Both carriers pass the suite: a disk inside QEMU, and one that a back end serves. */
import { deepEqual, ok } from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLog, systemClock, systemDice, type Instance } from '#base';
import { openAgentConnection, type OpenedAgentConnection } from '../agent/open-agent-connection.ts';
import type { RunningMachine } from '../engine.ts';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import type { MachineDisk } from '../machine.ts';
import type { AgentConnection } from '../machines.ts';
import { makeExt4Disk } from '../make-ext4-disk.ts';
import { openQemuEngine } from '../qemu/index.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { backendId } from './backend-places.ts';
import type { RunningBackend } from './disk-backend.ts';
import { diskOperationsContract, type CarrierUnderTest } from './disk-operations.contract.ts';
import type { DiskOperations } from './disk-operations.ts';
import { openStorageDaemon } from './index.ts';

diskOperationsContract('inside QEMU', () => setup(false));
diskOperationsContract('qemu-storage-daemon', () => setup(true));

const agentOf = async (machine: RunningMachine) => openAgentConnection(await machine.openAgentLine(), { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 90_000 });

async function setup(served: boolean): Promise<CarrierUnderTest> {
  const root = await mkdtemp('/tmp/strata-bo-');
  const instance: Instance = { name: root.slice(-6).toLowerCase(), stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 207 };
  const engine = openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg' });
  const backends = openStorageDaemon({ instance });
  const path = join(root, 'data.raw');
  await makeExt4Disk(path, 128 * 1024 * 1024);
  const disk: MachineDisk = { serial: 'data', path, format: 'raw', readOnly: false, ...(served ? { backend: 'vhost-user' } : {}) };
  const spec = testMachine({ engine: 'qemu', memoryMiB: 256, scratchMiB: 0, network: null, disks: [disk] });
  const id = backendId(spec.id, disk.serial);
  let running: { readonly machine: RunningMachine; readonly agent: OpenedAgentConnection; readonly backend: RunningBackend | undefined };

  async function start(): Promise<void> {
    const backend = served ? await backends.start({ id, disk, memoryMiB: spec.memoryMiB }) : undefined;
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
  /** As a later daemon finds both. */
  async function later(): Promise<AgentConnection> {
    running.agent.close();
    await running.machine.release();
    running.backend?.release();
    const [machine, backend] = await Promise.all([engine.adopt(spec), backends.find(id)]);
    ok(machine.found === 'running' && (backend.found === 'running') === served);
    const agent = await agentOf(machine.machine);
    running = { agent, machine: machine.machine, backend: backend.found === 'running' ? backend.backend : undefined };
    return agent;
  }
  await start();
  const operations = (): DiskOperations => {
    const found = running.backend?.disks ?? running.machine.diskOperations;
    ok(found !== undefined);
    return found;
  };
  return {
    operations, later, agent: running!.agent, serial: disk.serial, path, device: served ? '/dev/vda' : '/dev/sda', growsLive: !served,
    async restart() { await end(); await start(); return running.agent; },
    async close() {
      await end();
      await backends.erase(id);
      await engine.erase(spec.id);
      const left = await Promise.all(['r/b', 'r/q', 's/qemu-uids'].map((folder) => readdir(join(root, folder)).catch(() => [])));
      await rm(root, { recursive: true, force: true });
      deepEqual(left.flat(), [], 'nothing is left');
    },
  };
}
