/**
 * Makes a pooled machine: a clone with card and scratch disk, on which the agent has answered and done what a start will
 * ask of it, so that all of that code was translated once; then it stands still. It gives way to all others meanwhile.
 */
import type { Socket } from 'node:net';
import { failpoint, runProcess, systemDice, waitUntil } from '#base';
import { callUngreeted } from '../../agent/open-agent-connection.ts';
import { guestIdentity } from '../../guest-identity.ts';
import type { KeeperRecord } from '../../launcher/index.ts';
import type { MachineSpec } from '../../machine.ts';
import { endVmm, awaitExit } from '../../vmm/end-vmm.ts';
import { watchExit } from '../../vmm/watch-exit.ts';
import { cloneTemplate, type Clone, type CloneStarted } from '../clone-template.ts';
import { eraseMachine } from '../erase-machine.ts';
import { machinePlaces, type MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../open-qemu-engine.ts';
import type { Template } from '../templates/open-templates.ts';
import { newPooledId } from './pooled-id.ts';
import { pooledSpec, type PooledShape } from './pooled-shape.ts';
import { heldBytes } from './read-host-memory.ts';

export interface PooledMachine extends Clone {
  readonly id: string;
  readonly places: MachinePlaces;
  readonly heldBytes: number;
  readonly madeMs: number;
  /** Its VMM's end while it is in the pool. */
  readonly watch: ReturnType<typeof watchExit>;
}

/** It runs only while nobody else wants the processor. */
const limitMs = 120_000;
/** The second time everything is translated. */
const rehearsals = 3;

export async function makePooled(context: QemuContext, shape: PooledShape, template: Template, signal: AbortSignal): Promise<PooledMachine> {
  const began = context.clock.monotonic();
  const id = newPooledId(systemDice);
  const places = machinePlaces(context.instance, id);
  const spec = pooledSpec(shape, id);
  const started: CloneStarted = {};
  let clone: Clone | undefined;
  try {
    clone = await cloneTemplate(context, { spec, places, template, as: 'pooled', limitMs }, started, signal);
    failpoint('machines.qemu.cloned');
    await rehearse(context, spec, clone.line, signal);
    await clone.monitor.execute('stop');
    await takeItsPlace(clone.record);
    failpoint('machines.qemu.standing');
    return { ...clone, id, places, heldBytes: await heldBytes(clone.record.vmm.pid), madeMs: Math.round(context.clock.monotonic() - began), watch: watchExit(context, places, clone.record) };
  } catch (thrown) {
    clone?.monitor.close();
    clone?.sockets.close();
    if (started.record !== undefined) await endVmm(started.record).then(() => awaitExit(context, places, started.record as KeeperRecord));
    await eraseMachine(context, id);
    throw thrown;
  }
}

async function rehearse(context: QemuContext, spec: MachineSpec, line: Socket, signal: AbortSignal): Promise<void> {
  const options = { clock: context.clock, dice: systemDice, log: context.log, handshakeMs: limitMs, answerMs: limitMs, signal };
  if (spec.scratchMiB > 0) await callUngreeted(line, 'awaitDisks', { serials: ['scratch'], timeoutMs: limitMs }, options);
  // A file that is always there: a refusal would end the line.
  const hasCard = async () => /^ *eth0:/m.test(Buffer.from((await callUngreeted(line, 'fileRead', { container: '', path: '/proc/net/dev', offset: 0, length: 4096 }, options)).content, 'base64').toString());
  if (spec.network !== null) await waitUntil(hasCard, { what: 'the guest has its card', limitMs, everyMs: 20, signal });
  for (let time = 0; time < rehearsals; time += 1) {
    await callUngreeted(line, 'configure', guestIdentity(spec, context.clock, systemDice), options);
    await callUngreeted(line, 'hello', { nonce: Buffer.from(systemDice.bytes(16)).toString('hex') }, options);
  }
}

/** From here on it is as any other; while it stands still that costs nobody anything. */
async function takeItsPlace({ vmm }: KeeperRecord): Promise<void> {
  await runProcess(['chrt', '--all-tasks', '--other', '--pid', '0', String(vmm.pid)], { timeoutMs: 10_000 });
}
