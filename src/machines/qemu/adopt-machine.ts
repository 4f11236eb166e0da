/** Finds a machine's VMM by identity (boot id, pid, start time, as its keeper wrote them), never by name. */
import { hostBootId, isAlive, StrataError } from '#base';
import type { Engine } from '../engine.ts';
import { isHeld, readExitRecord, readKeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { awaitExit, endVmm } from './end-vmm.ts';
import { machinePlaces } from './machine-places.ts';
import type { QemuContext } from './open-qemu-engine.ts';
import { openMonitor } from './qmp/open-monitor.ts';
import { openRunningMachine } from './running-machine.ts';
import { readStartRecord } from './start-record.ts';

const answerLimitMs = 3000;

export async function adoptMachine(context: QemuContext, spec: MachineSpec): ReturnType<Engine['adopt']> {
  const places = machinePlaces(context.instance, spec.id);
  const record = await readKeeperRecord(places.runFolder);
  if (record === undefined) {
    if (await isHeld(await context.launcher(), places.runFolder)) return { found: 'unknown', why: 'an earlier daemon\'s start of it is still under way' };
    return { found: 'gone', exit: (await readExitRecord(places.runFolder)) ?? null };
  }
  // Nothing outlives a boot of the host.
  if (record.vmm.bootId !== hostBootId()) return { found: 'gone', exit: (await readExitRecord(places.runFolder)) ?? null };
  if (!(await isAlive(record.vmm))) return { found: 'gone', exit: await awaitExit(context, places, record) };
  if (!(await isAlive(record.keeper))) {
    await endVmm(record); // the kernel does it already; a VMM without a keeper must not go on
    return { found: 'gone', exit: await awaitExit(context, places, record) };
  }
  const monitor = openMonitor(places.monitor, { connectMs: answerLimitMs });
  try {
    await monitor.connection();
    const { accelerator } = await readStartRecord(places);
    return { found: 'running', machine: openRunningMachine(context, spec, record, accelerator, monitor) };
  } catch (error) {
    monitor.close();
    if (!(await isAlive(record.vmm))) return { found: 'gone', exit: await awaitExit(context, places, record) };
    return { found: 'unknown', why: error instanceof StrataError ? error.message : String(error) };
  }
}
