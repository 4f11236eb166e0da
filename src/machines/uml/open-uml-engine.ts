/** The UML driver of the engine port: starts machines in jails, finds them again, removes their traces. */
import { mkdir } from 'node:fs/promises';
import { systemClock, type Clock, type Instance, type Log } from '#base';
import type { Engine, EngineCapabilities } from '../engine.ts';
import { ensureLauncher, readConsoleRing } from '../launcher/index.ts';
import type { MachinePool } from '../pooled/open-machine-pool.ts';
import type { VmmContext } from '../vmm/vmm-context.ts';
import { adoptMachine } from './adopt-machine.ts';
import { maxDisks } from './check-spec.ts';
import { eraseMachine } from './erase-machine.ts';
import { umlPoolSource } from './pooled/pool-source.ts';
import { sweepPool } from './pooled/sweep-pool.ts';
import { eraseProof, proveUml } from './prove-uml.ts';
import { startMachine } from './start-machine.ts';
import { umlArchitectures, type UmlContext } from './uml-context.ts';
import { umlPlaces } from './uml-places.ts';

export interface UmlEngineDeps {
  readonly instance: Instance;
  readonly log: Log;
  readonly guestOs: UmlContext['guestOs'];
  /** Makes and removes taps; without it machines have no network. */
  readonly network?: VmmContext['network'];
  /** Keeps paused machines for starts to take; without it none are kept. */
  readonly pool?: MachinePool;
  readonly clock?: Clock;
}

export interface UmlEngine extends Engine {
  /** Removes what an earlier daemon, ended at any moment, left without a record; called once, before anything runs. */
  sweep(): Promise<void>;
  /** Ends what is done in the background; machines stay. */
  close(): Promise<void>;
}

export function openUmlEngine(deps: UmlEngineDeps): UmlEngine {
  let launcher: Promise<string> | undefined;
  const plain: UmlContext = {
    instance: deps.instance, clock: deps.clock ?? systemClock, guestOs: deps.guestOs, network: deps.network, log: deps.log, pool: undefined, starting: new Set(),
    launcher: () => {
      launcher ??= prepare(deps.instance).catch((error: unknown) => { launcher = undefined; throw error; });
      return launcher;
    },
  };
  const context: UmlContext = deps.pool === undefined ? plain : { ...plain, pool: deps.pool.join(umlPoolSource(plain)) };
  return {
    name: 'uml', connectsAgain: false,
    capabilities: async () => capabilities,
    sweep: async () => {
      await eraseProof(context);
      await sweepPool(context);
    },
    close: async () => { await context.pool?.close(); },
    pooled: () => context.pool?.list() ?? [],
    prove: (signal) => proveUml(context, signal),
    start: (spec, signal) => startMachine(context, spec, signal),
    adopt: (spec) => adoptMachine(context, spec),
    consoleLog: (id) => readConsoleRing(umlPlaces(context.instance, id).runFolder),
    erase: (id) => eraseMachine(context, id),
  };
}

const capabilities: EngineCapabilities = {
  name: 'uml', isolation: 'process', architectures: umlArchitectures, hotplugDisks: true, maxDisks, maxProcessors: 1, ownDisks: false, pause: true, suspend: false, snapshot: false,
};

async function prepare(instance: Instance): Promise<string> {
  for (const folder of [instance.runDir, instance.stateDir]) await mkdir(folder, { recursive: true, mode: 0o700 });
  return ensureLauncher(instance);
}
