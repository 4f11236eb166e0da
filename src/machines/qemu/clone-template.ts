/**
 * A VMM that goes on from a template: the template's memory, copied where it is written, and its device state. The guest
 * gets random numbers, name, id, MAC and time of its own before anything else happens in it; then further disks. Who
 * asked for it takes the parts; where it throws, the VMM is still to be ended.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { failpoint, systemDice } from '#base';
import { callUngreeted } from '../agent/open-agent-connection.ts';
import { guestIdentity } from '../guest-identity.ts';
import { holderOf, type KeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import type { VmmSockets } from '../vmm/vmm-sockets.ts';
import type { Clone } from './clone.ts';
import { withDisksNow } from './copies/disks-record.ts';
import { jailContents } from './jail-contents.ts';
import { gatherFacts, greet, launch, type Launch } from './launch-machine.ts';
import type { MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { openMonitor, type Monitor } from './qmp/open-monitor.ts';
import { restoreState } from './restore-state.ts';
import { socketsOf } from './running-machine.ts';
import type { Template } from './templates/template.ts';
import { cloneCommand } from './templates/template-command.ts';
import { jailDescriptors } from './templates/template-shape.ts';

/** To take the state, and to answer: a guest that was frozen ready does both in a tenth of a second; a busy host gets more. */
const usualLimitMs = 20_000;

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

export async function cloneTemplate(context: QemuContext, wish: CloneWish, started: CloneStarted, signal: AbortSignal | undefined): Promise<Clone> {
  const { spec, places, template, as, limitMs = usualLimitMs } = wish;
  const [facts, lying] = await Promise.all([gatherFacts(context, spec, places, template.scratch), withDisksNow(places, spec)]);
  signal?.throwIfAborted();
  const command = cloneCommand(lying, facts, template.record.shape, holderOf(template.folder));
  const description = { ...jailContents(spec.architecture, null), ownDescriptors: jailDescriptors, hugeHeap: as === 'machine', keptHeap: true, copyable: true, ...command };
  return launchClone(context, wish, { facts, description }, started, signal, async (monitor, sockets) => {
    await greet(monitor.connection(), signal);
    started.restoring = true;
    // Before the state is taken: the template's guest was frozen with the line open, and goes on with an open one.
    const line = await sockets.openAgentLine();
    await restoreState(await monitor.connection(), { state: command.state, limitMs, of: 'the template\'s state' }, signal);
    await goOn(context, wish, monitor, line, signal);
    started.restoring = false;
    for (const plug of command.plugs) await monitor.execute(plug.command, plug.parameters);
    return line;
  });
}

/** Starts its VMM and has it made ready; of what `work` opens nothing stays open where it throws. */
export async function launchClone(
  context: QemuContext, { spec, places, template, as }: CloneWish, { facts, description }: Pick<Launch, 'facts' | 'description'>, started: CloneStarted, signal: AbortSignal | undefined,
  work: (monitor: Monitor, sockets: VmmSockets) => Promise<Socket>,
): Promise<Clone> {
  const startedBy = { way: as === 'pooled' ? 'pool' as const : 'template' as const, why: '' };
  const pooled = as === 'pooled' ? { pooled: spec.id } : {};
  const record = await launch(context, { spec, places, facts, startedBy, ...pooled, description: { ...description, consoleBefore: template.console, idle: as === 'pooled' } }, signal);
  started.record = record;
  failpoint('machines.qemu.afterLaunch');
  const monitor = openMonitor(places.monitor);
  const sockets = socketsOf(context, spec);
  try {
    const line = await work(monitor, sockets);
    return { record, begun: { accelerator: facts.accelerator, uid: record.uid, startedBy, ...pooled, layout: 'template-copy', ready: false }, monitor, sockets, line };
  } catch (thrown) {
    monitor.close();
    sockets.close();
    throw thrown;
  }
}

/** Its identity is said before it goes on, so that it is the first that it hears; the guest it comes from had answered all it was asked. */
export async function goOn(context: QemuContext, { spec, limitMs = usualLimitMs }: CloneWish, monitor: Monitor, line: Socket, signal: AbortSignal | undefined): Promise<void> {
  failpoint('machines.qemu.beforeIdentity');
  await Promise.all([identify(context, spec, line, signal, { inStep: true, limitMs }), monitor.execute('cont')]);
}

/** Nobody greets the guest before this: what it draws at random until then, all clones draw. */
export async function identify(context: QemuContext, spec: Pick<MachineSpec, 'id' | 'name' | 'network'>, line: Duplex, signal: AbortSignal | undefined, { inStep = false, limitMs = usualLimitMs } = {}): Promise<void> {
  await callUngreeted(line, 'configure', guestIdentity(spec, context.clock, systemDice), {
    clock: context.clock, dice: systemDice, log: context.log, handshakeMs: limitMs, answerMs: limitMs, inStep, ...(signal === undefined ? {} : { signal }),
  });
}
