/** A VMM that is a copy of a zygote. Its guest gets what makes it another one before anything else happens in it, as a clone's does. Who asked for it takes the parts; where it throws, the VMM is still to be ended. */
import { holderOf } from '../../launcher/index.ts';
import type { Clone } from '../clone.ts';
import { goOn, launchClone, type CloneStarted, type CloneWish } from '../clone-template.ts';
import { withDisksNow } from '../copies/disks-record.ts';
import { gatherFacts, greet } from '../launch-machine.ts';
import type { QemuContext } from '../qemu-context.ts';
import { openPluggedDisks } from '../plugged-disks.ts';
import { copyDescriptors, heldByZygote } from '../templates/template-command.ts';
import type { Zygote } from './zygote.ts';

export async function copyZygote(context: QemuContext, zygote: Zygote, wish: CloneWish, started: CloneStarted, signal: AbortSignal | undefined): Promise<Clone> {
  const { spec, places, template } = wish;
  // Its scratch disk, not the template's: its guest has read it, and written a little.
  const [facts, { disks }, launcher] = await Promise.all([gatherFacts(context, spec, places, zygote.places.scratch), withDisksNow(places, spec), context.launcher()]);
  signal?.throwIfAborted();
  const description = {
    readable: [], links: [], copyOf: { zygote: zygote.socket, kept: heldByZygote },
    descriptors: copyDescriptors(template.record.shape, facts, holderOf(template.folder)), program: launcher, argv: [spec.id],
  };
  started.restoring = true; // from here on it is the zygote that fails
  return launchClone(context, wish, { facts, description }, started, signal, async (monitor, sockets) => {
    const [line] = await Promise.all([sockets.openAgentLine(), greet(monitor.connection(), signal)]);
    await goOn(context, wish, monitor, line, signal);
    started.restoring = false;
    const plugged = openPluggedDisks({ launcher: context.launcher, passing: places.passing, monitor });
    for (const disk of disks) await plugged.attach(disk);
    return line;
  });
}
