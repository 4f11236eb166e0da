/**
 * Starts a machine as a clone of a template: the template's memory, copied where it is written, and its device state. The
 * guest gets random numbers, name, id and time of its own before anything else happens in it; then its card and disks.
 * Where any of it fails, nothing is left and the answer says why: the caller boots the machine.
 */
import type { Duplex } from 'node:stream';
import { asStrataError, failpoint, systemDice } from '#base';
import { callUngreeted } from '../agent/open-agent-connection.ts';
import type { RunningMachine } from '../engine.ts';
import { guestIdentity } from '../guest-identity.ts';
import { holderOf, type KeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { jailContents } from './jail-contents.ts';
import { gatherFacts, greet, launch, undoLaunch } from './launch-machine.ts';
import type { MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './open-qemu-engine.ts';
import { openMonitor } from './qmp/open-monitor.ts';
import { restoreState } from './restore-state.ts';
import { openRunningMachine, socketsOf } from './running-machine.ts';
import { writeStartRecord, type StartRecord } from './start-record.ts';
import type { Template } from './templates/open-templates.ts';
import { cloneCommand } from './templates/template-command.ts';
import { jailDescriptors, type TemplateShape } from './templates/template-shape.ts';

const restoreLimitMs = 20_000;
/** A guest that was frozen ready answers in a tenth of a second; a busy host gets more. */
const answerLimitMs = 20_000;

export async function startClone(context: QemuContext, spec: MachineSpec, places: MachinePlaces, shape: TemplateShape, signal: AbortSignal | undefined): Promise<{ readonly machine: RunningMachine } | { readonly why: string }> {
  const found = await context.templates?.find(shape);
  if (found === undefined || 'why' in found) return found ?? { why: 'there are no templates' };
  const started: { record?: KeeperRecord; restoring?: boolean } = {};
  try {
    return { machine: await start(context, spec, places, found.template, started, signal) };
  } catch (thrown) {
    const error = asStrataError(await undoLaunch(context, spec, places, started.record, thrown), 'cloning');
    if (signal?.aborted === true || error.code === 'machine.alreadyRuns') throw error;
    context.log.warn({ machineId: spec.id, template: found.template.key, error: error.message }, 'a machine could not be cloned and is booted');
    if (started.restoring === true || /template/.test(error.message)) await context.templates?.failed(found.template, error.message);
    return { why: `its template could not be used: ${error.message}` };
  }
}

async function start(context: QemuContext, spec: MachineSpec, places: MachinePlaces, template: Template, started: { record?: KeeperRecord; restoring?: boolean }, signal: AbortSignal | undefined): Promise<RunningMachine> {
  const facts = await gatherFacts(context, spec, places);
  signal?.throwIfAborted();
  const command = cloneCommand(spec, facts, template.record.shape, holderOf(template.folder));
  const startedBy = { way: 'template', why: '' } as const;
  const description = { ...jailContents(spec.architecture, null), ownDescriptors: jailDescriptors, consoleBefore: template.console, ...command };
  const record = await launch(context, { spec, places, facts, startedBy, description }, signal);
  started.record = record;
  failpoint('machines.qemu.afterLaunch');
  const monitor = openMonitor(places.monitor);
  const sockets = socketsOf(context, spec);
  const begun: StartRecord = { accelerator: facts.accelerator, uid: record.uid, startedBy, ready: false };
  const machine = openRunningMachine(context, spec, record, begun, monitor, sockets);
  try {
    await greet(monitor.connection(), signal);
    started.restoring = true;
    // Before the state is taken: the template's guest was frozen with the line open, and goes on with an open one.
    const line = await sockets.openAgentLine();
    await restoreState(await monitor.connection(), { state: command.state, ignoreShared: true, limitMs: restoreLimitMs, of: 'the template\'s state' }, signal);
    await monitor.execute('cont');
    failpoint('machines.qemu.beforeIdentity');
    await identify(context, spec, line, signal);
    sockets.handOn(line);
    started.restoring = false;
    for (const plug of command.plugs) await monitor.execute(plug.command, plug.parameters);
    failpoint('machines.qemu.beforeReady');
    await writeStartRecord(places, { ...begun, ready: true });
    return machine;
  } catch (thrown) {
    await machine.release();
    throw thrown;
  }
}

/** Nobody greets the guest before this: what it draws at random until then, all clones draw. */
async function identify(context: QemuContext, spec: MachineSpec, line: Duplex, signal: AbortSignal | undefined): Promise<void> {
  await callUngreeted(line, 'configure', guestIdentity(spec, context.clock, systemDice), {
    clock: context.clock, dice: systemDice, log: context.log, handshakeMs: answerLimitMs, answerMs: answerLimitMs, ...(signal === undefined ? {} : { signal }),
  });
}
