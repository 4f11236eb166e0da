/** Starts a machine as a clone of a template. Where any of it fails, nothing is left and the answer says why: the caller boots the machine. */
import { asStrataError, failpoint } from '#base';
import type { RunningMachine } from '../engine.ts';
import type { MachineSpec } from '../machine.ts';
import type { Clone } from './clone.ts';
import { cloneMachine } from './clone-machine.ts';
import type { CloneStarted } from './clone-template.ts';
import { undoLaunch } from './launch-machine.ts';
import type { MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { openRunningMachine } from './running-machine.ts';
import { writeStartRecord } from './start-record.ts';
import type { TemplateShape } from './templates/template-shape.ts';

export async function startClone(context: QemuContext, spec: MachineSpec, places: MachinePlaces, shape: TemplateShape, signal: AbortSignal | undefined): Promise<{ readonly machine: RunningMachine } | { readonly why: string }> {
  const found = await context.templates?.find(shape);
  if (found === undefined || 'why' in found) return found ?? { why: 'there are no templates' };
  const started: CloneStarted = {};
  try {
    return { machine: await start(context, spec, places, cloneMachine(context, { spec, places, template: found.template, as: 'machine' }, started, signal)) };
  } catch (thrown) {
    const error = asStrataError(await undoLaunch(context, spec, places, started.record, thrown), 'cloning');
    if (signal?.aborted === true || error.code === 'machine.alreadyRuns') throw error;
    context.log.warn({ machineId: spec.id, template: found.template.key, error: error.message }, 'a machine could not be cloned and is booted');
    if (started.restoring === true || /template/.test(error.message)) await context.templates?.failed(found.template, error.message);
    return { why: `its template could not be used: ${error.message}` };
  }
}

async function start(context: QemuContext, spec: MachineSpec, places: MachinePlaces, cloning: Promise<Clone>): Promise<RunningMachine> {
  const { record, begun, monitor, sockets, line } = await cloning;
  const machine = openRunningMachine(context, spec, record, begun, monitor, sockets);
  try {
    sockets.handOn(line);
    failpoint('machines.qemu.beforeReady');
    writeStartRecord(places, { ...begun, ready: true });
    return machine;
  } catch (thrown) {
    await machine.release();
    throw thrown;
  }
}
