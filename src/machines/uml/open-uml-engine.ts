/** The UML driver of the engine port: starts machines in jails, finds them again, removes their traces. */
import { mkdir } from 'node:fs/promises';
import { systemClock, type Clock, type Instance, type Log } from '#base';
import type { Engine, EngineCapabilities } from '../engine.ts';
import { ensureLauncher, readConsoleRing } from '../launcher/index.ts';
import { eraseVmm } from '../vmm/erase-vmm.ts';
import type { VmmContext } from '../vmm/vmm-context.ts';
import { adoptMachine } from './adopt-machine.ts';
import { maxDisks } from './check-spec.ts';
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
  readonly clock?: Clock;
}

export interface UmlEngine extends Engine {
  /** Removes what an earlier daemon, ended at any moment, left without a record; called once, before anything runs. */
  sweep(): Promise<void>;
}

export function openUmlEngine(deps: UmlEngineDeps): UmlEngine {
  let launcher: Promise<string> | undefined;
  const context: UmlContext = {
    instance: deps.instance, clock: deps.clock ?? systemClock, guestOs: deps.guestOs, network: deps.network,
    launcher: () => {
      launcher ??= prepare(deps.instance).catch((error: unknown) => { launcher = undefined; throw error; });
      return launcher;
    },
  };
  return {
    name: 'uml', connectsAgain: false,
    capabilities: async () => capabilities,
    sweep: () => eraseProof(context),
    prove: (signal) => proveUml(context, signal),
    start: (spec, signal) => startMachine(context, spec, signal === undefined ? {} : { signal }),
    adopt: (spec) => adoptMachine(context, spec),
    consoleLog: (id) => readConsoleRing(umlPlaces(context.instance, id).runFolder),
    erase: (id) => eraseVmm(context, umlPlaces(context.instance, id), id),
  };
}

const capabilities: EngineCapabilities = {
  name: 'uml', isolation: 'process', architectures: umlArchitectures, hotplugDisks: true, maxDisks, maxProcessors: 1, ownDisks: false, pause: true, suspend: false, snapshot: false,
};

async function prepare(instance: Instance): Promise<string> {
  for (const folder of [instance.runDir, instance.stateDir]) await mkdir(folder, { recursive: true, mode: 0o700 });
  return ensureLauncher(instance);
}
