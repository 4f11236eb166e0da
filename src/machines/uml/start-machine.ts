/** Starts a machine: from the pool where a paused one fits, else by a boot. */
import { existsSync } from 'node:fs';
import { backendDisks } from '../backends/backend-places.ts';
import type { RunningMachine } from '../engine.ts';
import { isHeld } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { alreadyRuns, startAlone } from '../vmm/start-alone.ts';
import { bootMachine } from './boot-machine.ts';
import { checkSpec } from './check-spec.ts';
import { startPooled } from './pooled/start-pooled.ts';
import { umlArchitectures, type UmlContext } from './uml-context.ts';
import { umlPlaces } from './uml-places.ts';

export const startMachine = (context: UmlContext, spec: MachineSpec, signal?: AbortSignal): Promise<RunningMachine> => startAlone(context, spec, () => start(context, spec, signal));

async function start(context: UmlContext, spec: MachineSpec, signal: AbortSignal | undefined): Promise<RunningMachine> {
  signal?.throwIfAborted();
  checkSpec(spec, umlArchitectures);
  const { runFolder } = umlPlaces(context.instance, spec.id);
  // Before anything is touched: its scratch disk and its limits are in use. Who never ran has no folder.
  if (existsSync(runFolder) && await isHeld(await context.launcher(), runFolder)) throw alreadyRuns(spec);
  const options = signal === undefined ? {} : { signal };
  if (context.pool === undefined) return bootMachine(context, spec, options);
  if (backendDisks(spec.disks).length > 0) return bootMachine(context, spec, { ...options, why: 'its disks are served by back ends, which no pooled machine knows' });
  return await startPooled(context, spec, signal) ?? bootMachine(context, spec, { ...options, why: 'no pooled machine of its size stood ready' });
}
