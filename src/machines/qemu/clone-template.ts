/**
 * A VMM that goes on from a template: the template's memory, copied where it is written, and its device state. The guest
 * gets random numbers, name, id, MAC and time of its own before anything else happens in it; then further disks. Who
 * asked for it takes the parts; where it throws, the VMM is still to be ended.
 */
import type { Duplex } from 'node:stream';
import { failpoint, systemDice } from '#base';
import { callUngreeted } from '../agent/open-agent-connection.ts';
import { guestIdentity } from '../guest-identity.ts';
import { holderOf, type KeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import type { Clone } from './clone.ts';
import { withDisksNow } from './copies/disks-record.ts';
import { jailContents } from './jail-contents.ts';
import { gatherFacts, greet, launch } from './launch-machine.ts';
import type { MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { openMonitor } from './qmp/open-monitor.ts';
import { restoreState } from './restore-state.ts';
import { socketsOf } from './running-machine.ts';
import type { Template } from './templates/template.ts';
import { cloneCommand } from './templates/template-command.ts';
import { jailDescriptors } from './templates/template-shape.ts';

/** To take the state, and to answer: a guest that was frozen ready does both in a tenth of a second; a busy host gets more. */
export const usualLimitMs = 20_000;

/** What is known of a clone that is being made; filled in as it comes about, for who has to take it back. */
export interface CloneStarted { record?: KeeperRecord; restoring?: boolean }

export interface CloneWish {
  readonly spec: MachineSpec;
  readonly places: MachinePlaces;
  readonly template: Template;
  /** The machine's own start, or one in reserve that a later start takes. */
  readonly as: 'machine' | 'pooled';
  readonly limitMs?: number;
}

export async function cloneTemplate(context: QemuContext, { spec, places, template, as, limitMs = usualLimitMs }: CloneWish, started: CloneStarted, signal: AbortSignal | undefined): Promise<Clone> {
  const [facts, lying] = await Promise.all([gatherFacts(context, spec, places, template.scratch), withDisksNow(places, spec)]);
  signal?.throwIfAborted();
  const command = cloneCommand(lying, facts, template.record.shape, holderOf(template.folder));
  const startedBy = { way: as === 'pooled' ? 'pool' as const : 'template' as const, why: '' };
  const pooled = as === 'pooled' ? { pooled: spec.id } : {};
  const description = { ...jailContents(spec.architecture, null), ownDescriptors: jailDescriptors, consoleBefore: template.console, idle: as === 'pooled', hugeHeap: as === 'machine', keptHeap: true, ...command };
  const record = await launch(context, { spec, places, facts, startedBy, ...pooled, description }, signal);
  started.record = record;
  failpoint('machines.qemu.afterLaunch');
  const monitor = openMonitor(places.monitor);
  const sockets = socketsOf(context, spec);
  try {
    await greet(monitor.connection(), signal);
    started.restoring = true;
    // Before the state is taken: the template's guest was frozen with the line open, and goes on with an open one.
    const line = await sockets.openAgentLine();
    await restoreState(await monitor.connection(), { state: command.state, limitMs, of: 'the template\'s state' }, signal);
    failpoint('machines.qemu.beforeIdentity');
    // Said before it goes on, so that it is the first that it hears; its template's guest had answered all it was asked.
    await Promise.all([identify(context, spec, line, signal, { inStep: true, limitMs }), monitor.execute('cont')]);
    started.restoring = false;
    for (const plug of command.plugs) await monitor.execute(plug.command, plug.parameters);
    return { record, begun: { accelerator: facts.accelerator, uid: record.uid, startedBy, ...pooled, layout: 'template-copy', ready: false }, monitor, sockets, line };
  } catch (thrown) {
    monitor.close();
    sockets.close();
    throw thrown;
  }
}

/** Nobody greets the guest before this: what it draws at random until then, all clones draw. */
export async function identify(context: QemuContext, spec: Pick<MachineSpec, 'id' | 'name' | 'network'>, line: Duplex, signal: AbortSignal | undefined, { inStep = false, limitMs = usualLimitMs } = {}): Promise<void> {
  await callUngreeted(line, 'configure', guestIdentity(spec, context.clock, systemDice), {
    clock: context.clock, dice: systemDice, log: context.log, handshakeMs: limitMs, answerMs: limitMs, inStep, ...(signal === undefined ? {} : { signal }),
  });
}
