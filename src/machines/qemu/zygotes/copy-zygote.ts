/** A VMM that is a copy of a zygote. Its guest gets what makes it another one before anything else happens in it, as a clone's does. Who asked for it takes the parts; where it throws, the VMM is still to be ended. */
import { failpoint } from '#base';
import { holderOf } from '../../launcher/index.ts';
import type { Clone } from '../clone.ts';
import { identify, usualLimitMs, type CloneStarted, type CloneWish } from '../clone-template.ts';
import { withDisksNow } from '../copies/disks-record.ts';
import { gatherFacts, greet, launch } from '../launch-machine.ts';
import type { QemuContext } from '../qemu-context.ts';
import { openMonitor } from '../qmp/open-monitor.ts';
import { openPluggedDisks } from '../plugged-disks.ts';
import { socketsOf } from '../running-machine.ts';
import { copyDescriptors, heldByZygote } from '../templates/template-command.ts';
import type { Zygote } from './zygote.ts';

export async function copyZygote(context: QemuContext, zygote: Zygote, { spec, places, template, as, limitMs = usualLimitMs }: CloneWish, started: CloneStarted, signal: AbortSignal | undefined): Promise<Clone> {
  // Its scratch disk, not the template's: its guest has read it, and written a little.
  const [facts, { disks }, launcher] = await Promise.all([gatherFacts(context, spec, places, zygote.places.scratch), withDisksNow(places, spec), context.launcher()]);
  signal?.throwIfAborted();
  const startedBy = { way: as === 'pooled' ? 'pool' as const : 'template' as const, why: '' };
  const pooled = as === 'pooled' ? { pooled: spec.id } : {};
  const description = {
    readable: [], links: [], consoleBefore: template.console, idle: as === 'pooled', copyOf: { zygote: zygote.socket, kept: heldByZygote },
    descriptors: copyDescriptors(template.record.shape, facts, holderOf(template.folder)), program: launcher, argv: [spec.id],
  };
  started.restoring = true; // from here on it is the zygote that fails
  const record = await launch(context, { spec, places, facts, startedBy, ...pooled, description }, signal);
  started.record = record;
  failpoint('machines.qemu.afterLaunch');
  const monitor = openMonitor(places.monitor);
  const sockets = socketsOf(context, spec);
  try {
    const [line] = await Promise.all([sockets.openAgentLine(), greet(monitor.connection(), signal)]);
    failpoint('machines.qemu.beforeIdentity');
    // Said before it goes on, so that it is the first that it hears; the zygote's guest had answered all it was asked.
    await Promise.all([identify(context, spec, line, signal, { inStep: true, limitMs }), monitor.execute('cont')]);
    started.restoring = false;
    const plugged = openPluggedDisks({ launcher: context.launcher, passing: places.passing, monitor });
    for (const disk of disks) await plugged.attach(disk);
    return { record, begun: { accelerator: facts.accelerator, uid: record.uid, startedBy, ...pooled, layout: 'template-copy', ready: false }, monitor, sockets, line };
  } catch (thrown) {
    monitor.close();
    sockets.close();
    throw thrown;
  }
}
