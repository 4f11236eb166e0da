/**
 * Makes a pooled machine: a guest that booted with card and scratch disk, on which the agent has answered and done what a
 * start will ask of it; then it stands still. It gives way to all others meanwhile.
 */
import { statfs } from 'node:fs/promises';
import { failpoint, systemDice } from '#base';
import type { KeeperRecord } from '../../launcher/index.ts';
import { newPooledId } from '../../pooled/pooled-id.ts';
import { pooledSpec } from '../../pooled/pooled-spec.ts';
import { anonymousBytes } from '../../pooled/read-host-memory.ts';
import { rehearse } from '../../pooled/rehearse.ts';
import { undoLaunched } from '../../pooled/undo-launched.ts';
import { vmmSockets } from '../../vmm/vmm-sockets.ts';
import { watchExit } from '../../vmm/watch-exit.ts';
import { launch } from '../boot-machine.ts';
import { eraseMachine } from '../erase-machine.ts';
import type { StartRecord } from '../start-record.ts';
import type { UmlContext } from '../uml-context.ts';
import { jail, umlPlaces } from '../uml-places.ts';
import type { PooledMachine } from './pooled-machine.ts';
import { pooledFacts, type PooledShape } from './pooled-shape.ts';
import { descendantsOf, kernelOf, standStill, takeItsPlace } from './stand-still.ts';

export async function makePooled(context: UmlContext, shape: PooledShape, signal: AbortSignal): Promise<PooledMachine> {
  const began = context.clock.monotonic();
  const id = newPooledId(systemDice);
  const places = umlPlaces(context.instance, id);
  const spec = pooledSpec('uml', pooledFacts(shape), id);
  const begun: StartRecord = { startedBy: { way: 'pool', why: '' }, pooled: id, ready: false };
  const sockets = vmmSockets(places, spec.name);
  let record: KeeperRecord | undefined;
  try {
    record = await launch(context, { spec, places, begun, idle: true }, signal);
    failpoint('machines.uml.afterLaunch');
    const line = await sockets.openAgentLine();
    await rehearse(context, { ...spec, network: null }, line, signal); // its card takes one MAC only, which is not known yet
    const kernel = await kernelOf(record);
    await standStill(kernel);
    await takeItsPlace(record);
    failpoint('machines.uml.standing');
    return { id, places, record, begun, kernel, sockets, line, heldBytes: await heldBytes(record), madeMs: Math.round(context.clock.monotonic() - began), watch: watchExit(context, places, record) };
  } catch (thrown) {
    sockets.close();
    const error = await undoLaunched(context, { spec, places, record, vmm: 'UML' }, thrown);
    await eraseMachine(context, id);
    throw error;
  }
}

/** The guest's memory lies in a file of the jail's own, which ends with it; the rest is its processes' own. */
async function heldBytes({ vmm }: KeeperRecord): Promise<number> {
  const { blocks, bfree, bsize } = await statfs(`/proc/${vmm.pid}/root${jail.memory}`);
  const own = await Promise.all([vmm.pid, ...await descendantsOf(vmm.pid)].map(anonymousBytes));
  return (blocks - bfree) * bsize + own.reduce((total, one) => total + one, 0);
}
