/**
 * Makes a pooled machine: a clone with card and scratch disk, on which the agent has answered and done what a start will
 * ask of it, so that all of that code was translated once; then it stands still. It gives way to all others meanwhile.
 */
import { failpoint, runProcess, systemDice } from '#base';
import type { KeeperRecord } from '../../launcher/index.ts';
import { endVmm, awaitExit } from '../../vmm/end-vmm.ts';
import { watchExit } from '../../vmm/watch-exit.ts';
import type { Clone } from '../clone.ts';
import { cloneMachine } from '../clone-machine.ts';
import type { CloneStarted } from '../clone-template.ts';
import { eraseMachine } from '../erase-machine.ts';
import { machinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import type { Template } from '../templates/template.ts';
import { newPooledId } from '../../pooled/pooled-id.ts';
import { privateBytes } from '../../pooled/read-host-memory.ts';
import { makingLimitMs, rehearse } from '../../pooled/rehearse.ts';
import { pooledSpec } from '../../pooled/pooled-spec.ts';
import type { PooledMachine } from './pooled-machine.ts';
import { pooledFacts, type PooledShape } from './pooled-shape.ts';

export async function makePooled(context: QemuContext, shape: PooledShape, template: Template, signal: AbortSignal): Promise<PooledMachine> {
  const began = context.clock.monotonic();
  const id = newPooledId(systemDice);
  const places = machinePlaces(context.instance, id);
  const spec = pooledSpec('qemu', pooledFacts(shape), id);
  const started: CloneStarted = {};
  let clone: Clone | undefined;
  try {
    clone = await cloneMachine(context, { spec, places, template, as: 'pooled', limitMs: makingLimitMs }, started, signal);
    failpoint('machines.qemu.cloned');
    await rehearse(context, spec, clone.line, signal);
    await clone.monitor.execute('stop');
    await takeItsPlace(clone.record);
    failpoint('machines.qemu.standing');
    return { ...clone, id, places, heldBytes: await privateBytes(clone.record.vmm.pid), madeMs: Math.round(context.clock.monotonic() - began), watch: watchExit(context, places, clone.record) };
  } catch (thrown) {
    clone?.monitor.close();
    clone?.sockets.close();
    if (started.record !== undefined) await endVmm(started.record).then(() => awaitExit(context, places, started.record as KeeperRecord));
    await eraseMachine(context, id);
    throw thrown;
  }
}

/** From here on it is as any other; while it stands still that costs nobody anything. */
async function takeItsPlace({ vmm }: KeeperRecord): Promise<void> {
  await runProcess(['chrt', '--all-tasks', '--other', '--pid', '0', String(vmm.pid)], { timeoutMs: 10_000 });
}
