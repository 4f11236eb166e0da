/** Finds a machine's VMM by identity (boot id, pid, start time, as its keeper wrote them), never by name. */
import { isAlive, StrataError } from '#base';
import type { Engine } from '../engine.ts';
import type { MachineSpec } from '../machine.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { findVmm } from '../vmm/find-vmm.ts';
import { machinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { openMonitor } from './qmp/open-monitor.ts';
import { openRunningMachine } from './running-machine.ts';
import { readStartRecord } from './start-record.ts';

const answerLimitMs = 3000;

export async function adoptMachine(context: QemuContext, spec: MachineSpec): ReturnType<Engine['adopt']> {
  const places = machinePlaces(context.instance, spec.id);
  const vmm = await findVmm(context, places);
  if (vmm.found !== 'alive') return vmm;
  const { record } = vmm;
  const started = await readStartRecord(places).catch(() => undefined);
  if (started === undefined) return { found: 'unknown', why: 'what was written of its start is lost or damaged' };
  // The daemon died in the middle of cloning it. What it still lacks nobody knows, its own random numbers perhaps.
  if (!started.ready) {
    await endVmm(record);
    return { found: 'gone', exit: await awaitExit(context, places, record) };
  }
  const monitor = openMonitor(places.monitor, { connectMs: answerLimitMs });
  try {
    await monitor.connection();
    return { found: 'running', machine: openRunningMachine(context, spec, record, started, monitor) };
  } catch (error) {
    monitor.close();
    if (!(await isAlive(record.vmm))) return { found: 'gone', exit: await awaitExit(context, places, record) };
    return { found: 'unknown', why: error instanceof StrataError ? error.message : String(error) };
  }
}
