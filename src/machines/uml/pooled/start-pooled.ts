/**
 * Starts a UML machine by taking a pooled one: name, ids, MAC, time and random numbers are said to it before it goes on, then
 * its disks are plugged in. Where anything fails the caller boots it.
 */
import { failpoint, systemDice } from '#base';
import { callUngreeted } from '../../agent/open-agent-connection.ts';
import type { RunningMachine } from '../../engine.ts';
import { guestIdentity } from '../../guest-identity.ts';
import type { MachineSpec } from '../../machine.ts';
import { pooledAnswerLimitMs, startPooled as takePooled } from '../../pooled/start-pooled.ts';
import { undoLaunched } from '../../pooled/undo-launched.ts';
import { vmmSockets } from '../../vmm/vmm-sockets.ts';
import { refuseDisks } from '../boot-machine.ts';
import { eraseMachine } from '../erase-machine.ts';
import { openRunningMachine } from '../running-machine.ts';
import { writeStartRecord } from '../start-record.ts';
import type { UmlContext } from '../uml-context.ts';
import { umlPlaces } from '../uml-places.ts';
import type { PooledMachine } from './pooled-machine.ts';
import { pooledShapeOf } from './pooled-shape.ts';
import { goOn } from './stand-still.ts';

export async function startPooled(context: UmlContext, spec: MachineSpec, signal: AbortSignal | undefined): Promise<RunningMachine | undefined> {
  const places = umlPlaces(context.instance, spec.id);
  await refuseDisks(context, spec); // before one is spent on it
  const { version } = await context.guestOs(spec.architecture);
  return takePooled(context, pooledShapeOf(spec, version), {
    engine: 'uml', spec, places,
    become: (pooled, handedOver) => become(context, spec, pooled, handedOver, signal),
    async giveUp(pooled, thrown) {
      const error = await undoLaunched(context, { spec, places, record: pooled.record, vmm: 'UML' }, thrown);
      pooled.sockets.close();
      await eraseMachine(context, pooled.id);
      return error;
    },
  }, signal);
}

async function become(context: UmlContext, spec: MachineSpec, pooled: PooledMachine, handedOver: Promise<void>, signal: AbortSignal | undefined): Promise<RunningMachine> {
  // Said before it goes on, so that it is the first that it hears. It goes on when its tap is up again: UML gives its card up for good
  // where the kernel refuses a frame, and a new name takes the tap down for a moment.
  await Promise.all([handedOver, identify(context, spec, pooled, signal), handedOver.then(() => goOn(pooled.kernel))]);
  const places = umlPlaces(context.instance, spec.id);
  const sockets = vmmSockets(places, spec.name);
  const machine = openRunningMachine(context, spec, pooled.record, pooled.begun, sockets);
  try {
    sockets.handOn(pooled.line);
    for (const disk of spec.disks) await machine.attachDisk(disk);
    failpoint('machines.uml.identified');
    writeStartRecord(places, { ...pooled.begun, ready: true });
    return machine;
  } catch (thrown) {
    await machine.release();
    throw thrown;
  }
}

async function identify({ clock, log }: UmlContext, spec: MachineSpec, { line }: PooledMachine, signal: AbortSignal | undefined): Promise<void> {
  await callUngreeted(line, 'configure', guestIdentity(spec, clock, systemDice), { clock, dice: systemDice, log, handshakeMs: pooledAnswerLimitMs, answerMs: pooledAnswerLimitMs, inStep: true, ...(signal === undefined ? {} : { signal }) });
}
