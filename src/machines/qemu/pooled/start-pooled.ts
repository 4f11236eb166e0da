/**
 * Starts a machine by taking a pooled one. One rename makes it the machine's: before that it is the pool's, which a later
 * daemon ends; after that it lies in the machine's folder, not ready until it has its identity, and is ended as any clone
 * that is not whole. Where anything fails, nothing is left and the answer says why: the caller makes a clone.
 */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { asStrataError, failpoint } from '#base';
import type { RunningMachine } from '../../engine.ts';
import type { MachineSpec } from '../../machine.ts';
import { identify } from '../clone-template.ts';
import { withDisksNow } from '../copies/disks-record.ts';
import { eraseMachine } from '../erase-machine.ts';
import { undoLaunch } from '../launch-machine.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../open-qemu-engine.ts';
import { openMonitor } from '../qmp/open-monitor.ts';
import { openRunningMachine, socketsOf } from '../running-machine.ts';
import { writeStartRecord } from '../start-record.ts';
import type { TemplateShape } from '../templates/template-shape.ts';
import type { PooledMachine } from './make-pooled.ts';
import { pooledShapeOf } from './pooled-shape.ts';
import { releaseReserve } from './release-reserve.ts';

/** It answers in milliseconds; one that does not within this is given up. */
const answerLimitMs = 5000;

export async function startPooled(context: QemuContext, spec: MachineSpec, places: MachinePlaces, template: TemplateShape, signal: AbortSignal | undefined): Promise<RunningMachine | undefined> {
  const shape = pooledShapeOf(template, spec);
  const pooled = context.pool?.take(shape);
  if (pooled === undefined) return undefined;
  try {
    return await handOver(context, spec, places, pooled, signal);
  } catch (thrown) {
    const error = asStrataError(await undoLaunch(context, spec, places, pooled.record, thrown), 'taking a pooled machine');
    pooled.monitor.close();
    pooled.sockets.close();
    await eraseMachine(context, pooled.id);
    context.pool?.spoilt(shape);
    if (signal?.aborted === true) throw error;
    context.log.warn({ machineId: spec.id, pooled: pooled.id, error: error.message }, 'a pooled machine could not be used');
    return undefined;
  }
}

async function handOver(context: QemuContext, spec: MachineSpec, places: MachinePlaces, pooled: PooledMachine, signal: AbortSignal | undefined): Promise<RunningMachine> {
  signal?.throwIfAborted();
  failpoint('machines.qemu.taken');
  // Meanwhile: a program is run for it, and no guest needs it before it has an identity.
  const tap = spec.network === null ? undefined : context.network?.handOverTap?.(pooled.id, spec.id);
  try {
    return await become(context, spec, places, pooled, tap, signal);
  } catch (thrown) {
    await Promise.allSettled([tap]);
    throw thrown;
  }
}

async function become(context: QemuContext, spec: MachineSpec, places: MachinePlaces, pooled: PooledMachine, tap: Promise<void> | undefined, signal: AbortSignal | undefined): Promise<RunningMachine> {
  tap?.catch(() => undefined); // told where it is awaited
  await Promise.all([clearRunFolder(context, places), spec.scratchMiB === 0 ? undefined : moveScratch(places, pooled)]);
  await rm(pooled.places.stateFolder, { recursive: true, force: true }); // of the pool it has the run folder alone now
  failpoint('machines.qemu.beforeHandOver');
  await rename(pooled.places.runFolder, places.runFolder);
  failpoint('machines.qemu.handedOver');
  pooled.watch.stop();
  const monitor = openMonitor(places.monitor, { open: await pooled.monitor.connection() });
  const sockets = socketsOf(context, spec);
  const machine = openRunningMachine(context, spec, pooled.record, pooled.begun, monitor, sockets);
  try {
    // Said before it goes on, so that it is the first that it hears.
    await Promise.all([tap, identify(context, spec, pooled.line, signal, { inStep: true, limitMs: answerLimitMs }), monitor.execute('cont')]);
    sockets.handOn(pooled.line);
    for (const disk of (await withDisksNow(places, spec)).disks) await machine.attachDisk(disk);
    failpoint('machines.qemu.identified');
    await writeStartRecord(places, { ...pooled.begun, ready: true });
    return machine;
  } catch (thrown) {
    await machine.release();
    throw thrown;
  }
}

/** What is left of its last run. */
async function clearRunFolder(context: QemuContext, places: MachinePlaces): Promise<void> {
  if (!existsSync(places.runFolder)) return;
  await releaseReserve(context, places);
  await rm(places.runFolder, { recursive: true, force: true });
}

/** QEMU has it open; it does not see that it has another name. */
async function moveScratch(places: MachinePlaces, pooled: PooledMachine): Promise<void> {
  await mkdir(places.stateFolder, { recursive: true, mode: 0o700 });
  await rename(pooled.places.scratch, places.scratch);
}
