/**
 * A VMM that goes on from a template: a copy of its zygote, where one stands ready and the copy comes to run, else a clone of
 * the template itself. Who asked for it takes the parts; where it throws, what `started` says is still to be ended.
 */
import { asStrataError } from '#base';
import type { Clone } from './clone.ts';
import { cloneTemplate, type CloneStarted, type CloneWish } from './clone-template.ts';
import { undoLaunch } from './launch-machine.ts';
import type { QemuContext } from './qemu-context.ts';
import { copyZygote } from './zygotes/copy-zygote.ts';

export async function cloneMachine(context: QemuContext, wish: CloneWish, started: CloneStarted, signal: AbortSignal | undefined): Promise<Clone> {
  const copy = await copyOfZygote(context, wish, started, signal);
  return copy ?? cloneTemplate(context, wish, started, signal);
}

/** Undefined where nothing came of it, and nothing is left of it. */
async function copyOfZygote(context: QemuContext, wish: CloneWish, started: CloneStarted, signal: AbortSignal | undefined): Promise<Clone | undefined> {
  const { spec, places, template } = wish;
  const zygote = await context.templates?.zygotes.of(template);
  if (zygote === undefined) return undefined;
  const attempt: CloneStarted = {};
  try {
    const clone = await copyZygote(context, zygote, wish, attempt, signal);
    started.record = clone.record;
    context.templates?.zygotes.worked(template);
    return clone;
  } catch (thrown) {
    const error = asStrataError(await undoLaunch(context, spec, places, attempt.record, thrown), 'copying');
    if (signal?.aborted === true || error.code === 'machine.alreadyRuns') throw error;
    // Else it is the machine's own affair, a disk of its perhaps, and will be told of the clone.
    if (attempt.restoring === true) await context.templates?.zygotes.failed(template, zygote, error.message);
    return undefined;
  }
}
