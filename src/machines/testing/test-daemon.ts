/**
 * Daemons for the tests of this layer: each with its own controllers, sessions and engine objects, all on one
 * store and one fake world, which outlive them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId, silentLog, systemClock, systemDice, waitUntil, type Instance } from '#base';
import { runControllers, type ControllersRun } from '#reconcile';
import type { Store } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { fakeNetwork, fakeWorld, openFakeEngine, type FakeNetwork, type FakeWorld } from '../fake/index.ts';
import type { MachinePhase, MachineSpec, MachineStatus } from '../machine.ts';
import type { MachinePolicy } from '../machine-policy.ts';
import { openMachines, type OpenedMachines } from '../open-machines.ts';

export interface TestDaemon extends OpenedMachines {
  readonly run: ControllersRun;
  end(): Promise<void>;
}

export interface TestHost {
  readonly store: Store;
  readonly world: FakeWorld;
  readonly network: FakeNetwork;
  /** @param on the store as that daemon sees it, where it differs */
  start(on?: Store): TestDaemon;
  close(): Promise<void>;
}

/** Fast enough for tests, slow enough for a busy host. */
export const testPolicy: Partial<MachinePolicy> = {
  stopGraceMs: 500, bootLimitMs: 3000, lookEveryMs: 50, answerLimitMs: 250, hungLimitMs: 600, silentLimitMs: 1200, unreachableGraceMs: 300,
  firstBackOffMs: 30, longestBackOffMs: 200, wellAfterMs: 60_000,
};

export async function openTestHost(policy: Partial<MachinePolicy> = {}): Promise<TestHost> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-machines-'));
  const instance: Instance = { name: 'mtest', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 201 };
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  const world = fakeWorld();
  const network = fakeNetwork();
  return {
    store, world, network,
    start(on = store) {
      const opened = openMachines({
        instance, store: on, network, engines: [openFakeEngine({ world, network })], clock: systemClock, dice: systemDice, log: silentLog, policy: { ...testPolicy, ...policy },
        host: { bootId: () => world.bootId, endProcess: (identity) => Promise.resolve(world.endProcess(identity)) },
      });
      const run = runControllers({ controllers: [opened.controller], store: on, clock: systemClock, dice: systemDice, log: silentLog, fullRoundMs: 500, backOff: { firstMs: 5, maxMs: 100 } });
      return { ...opened, run, async end() { await run.stop(); await opened.stop(); } };
    },
    async close() {
      for (const id of world.vmms.keys()) world.end(id);
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

let seed = 1;
export function testMachine(changes: Partial<MachineSpec> = {}): MachineSpec {
  seed += 1;
  const id = newId('machine', systemDice); // another file's tests look for theirs among the same host's processes
  return {
    id, name: `m${seed}`, architecture: 'x86_64', engine: 'auto', processors: 1, memoryMiB: 256, boot: { kind: 'guest-os' }, scratchMiB: 64, disks: [],
    network: { mac: '02:00:0a:c9:00:05', address: '10.201.0.5' }, wanted: 'running', owner: null, createdAt: 1, generation: 1, ...changes,
  };
}

/** Waits until the machine's status is as said; the error tells what it was instead. */
export async function statusOf(daemon: Pick<OpenedMachines, 'statuses'>, id: string, fits: MachinePhase | ((status: MachineStatus | undefined) => boolean), limitMs = 10_000): Promise<MachineStatus> {
  let last: MachineStatus | undefined;
  try {
    return await waitUntil(async () => {
      last = (await daemon.statuses.get(id))?.value;
      return (typeof fits === 'string' ? last?.phase === fits : fits(last)) && (last ?? ({} as MachineStatus));
    }, { what: 'the status fits', limitMs, everyMs: 5 });
  } catch (thrown) {
    throw new Error(`the status never became as awaited (${String(fits)}); it is ${JSON.stringify(last)}`, { cause: thrown });
  }
}
