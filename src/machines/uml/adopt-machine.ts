/** Finds a machine's UML again, as its keeper wrote it down. */
import { asStrataError, isAlive } from '#base';
import type { Engine } from '../engine.ts';
import { tellUml } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { findVmm } from '../vmm/find-vmm.ts';
import { readEndOfUml } from './end-of-uml.ts';
import { openRunningMachine } from './running-machine.ts';
import { readStartRecord } from './start-record.ts';
import type { UmlContext } from './uml-context.ts';
import { jail, umlPlaces } from './uml-places.ts';

export async function adoptMachine(context: UmlContext, spec: MachineSpec): ReturnType<Engine['adopt']> {
  const places = umlPlaces(context.instance, spec.id);
  const vmm = await findVmm(context, places);
  if (vmm.found === 'gone') return { found: 'gone', exit: vmm.exit === null ? null : await readEndOfUml(places, vmm.exit) };
  if (vmm.found !== 'alive') return vmm;
  const started = await readStartRecord(places).catch(() => undefined);
  if (started === undefined) return { found: 'unknown', why: 'what was written of its start is damaged' };
  // The daemon died while it took it from the pool. What it still lacks nobody knows, its own random numbers perhaps.
  if (!started.ready) {
    await endVmm(vmm.record);
    return { found: 'gone', exit: await awaitExit(context, places, vmm.record) };
  }
  try {
    await tellUml(await context.launcher(), vmm.record, jail.mconsole, ['version']);
    return { found: 'running', machine: openRunningMachine(context, spec, vmm.record, started) };
  } catch (error) {
    if (!(await isAlive(vmm.record.vmm))) return { found: 'gone', exit: await readEndOfUml(places, await awaitExit(context, places, vmm.record)) };
    return { found: 'unknown', why: asStrataError(error, 'adopting').message };
  }
}
