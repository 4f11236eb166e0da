/** Finds a machine's UML again, as its keeper wrote it down. */
import { asStrataError, isAlive } from '#base';
import type { Engine } from '../engine.ts';
import { tellUml } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { awaitExit } from '../vmm/end-vmm.ts';
import { findVmm } from '../vmm/find-vmm.ts';
import type { UmlContext } from './uml-context.ts';
import { openRunningMachine } from './running-machine.ts';
import { jail, umlPlaces } from './uml-places.ts';

export async function adoptMachine(context: UmlContext, spec: MachineSpec): ReturnType<Engine['adopt']> {
  const places = umlPlaces(context.instance, spec.id);
  const vmm = await findVmm(context, places);
  if (vmm.found !== 'alive') return vmm;
  try {
    await tellUml(await context.launcher(), vmm.record, jail.mconsole, ['version']);
    return { found: 'running', machine: openRunningMachine(context, spec, vmm.record) };
  } catch (error) {
    if (!(await isAlive(vmm.record.vmm))) return { found: 'gone', exit: await awaitExit(context, places, vmm.record) };
    return { found: 'unknown', why: asStrataError(error, 'adopting').message };
  }
}
