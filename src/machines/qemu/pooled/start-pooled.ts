/**
 * Starts a machine of QEMU by taking a pooled one. One rename makes it the machine's; after that it lies in the machine's folder, not ready until it has its
 * identity, and is ended as any clone that is not whole. Where anything fails the caller makes a clone.
 */
import type { RunningMachine } from '../../engine.ts';
import type { MachineSpec } from '../../machine.ts';
import { pooledAnswerLimitMs, startPooled as takePooled } from '../../pooled/start-pooled.ts';
import { identify } from '../clone-template.ts';
import { withDisksNow } from '../copies/disks-record.ts';
import { eraseMachine } from '../erase-machine.ts';
import { undoLaunch } from '../launch-machine.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import { openMonitor } from '../qmp/open-monitor.ts';
import { openRunningMachine, socketsOf } from '../running-machine.ts';
import { writeStartRecord } from '../start-record.ts';
import type { TemplateShape } from '../templates/template-shape.ts';
import { failpoint } from '#base';
import type { PooledMachine } from './pooled-machine.ts';
import { pooledShapeOf } from './pooled-shape.ts';

export function startPooled(context: QemuContext, spec: MachineSpec, places: MachinePlaces, template: TemplateShape, signal: AbortSignal | undefined): Promise<RunningMachine | undefined> {
  return takePooled(context, pooledShapeOf(template, spec), {
    engine: 'qemu', spec, places,
    become: (pooled, handedOver) => become(context, spec, places, pooled, handedOver, signal),
    async giveUp(pooled, thrown) {
      const error = await undoLaunch(context, spec, places, pooled.record, thrown);
      pooled.monitor.close();
      pooled.sockets.close();
      await eraseMachine(context, pooled.id);
      return error;
    },
  }, signal);
}

async function become(context: QemuContext, spec: MachineSpec, places: MachinePlaces, pooled: PooledMachine, handedOver: Promise<void>, signal: AbortSignal | undefined): Promise<RunningMachine> {
  // Said before it goes on, so that it is the first that it hears.
  const goesOn = [identify(context, spec, pooled.line, signal, { inStep: true, limitMs: pooledAnswerLimitMs }), pooled.monitor.execute('cont')];
  const [{ disks }] = await Promise.all([withDisksNow(places, spec), handedOver, ...goesOn]);
  const monitor = openMonitor(places.monitor, { open: await pooled.monitor.connection() });
  const sockets = socketsOf(context, spec);
  const machine = openRunningMachine(context, spec, pooled.record, pooled.begun, monitor, sockets);
  try {
    sockets.handOn(pooled.line);
    for (const disk of disks) await machine.attachDisk(disk);
    failpoint('machines.qemu.identified');
    writeStartRecord(places, { ...pooled.begun, ready: true });
    return machine;
  } catch (thrown) {
    await machine.release();
    throw thrown;
  }
}
