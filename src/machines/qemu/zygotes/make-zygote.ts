/**
 * Makes a template's zygote: goes on from the template as a clone does, with a card and a scratch disk of its own, has the
 * guest do what a start asks of it until all of that is translated, lets it stand still, and has it made ready to be
 * copied. Nobody greets its agent: what a guest draws at random then, all copies would have. On failure nothing is left.
 */
import { mkdir } from 'node:fs/promises';
import { failpoint, systemDice } from '#base';
import { callUngreeted } from '../../agent/open-agent-connection.ts';
import { guestIdentity } from '../../guest-identity.ts';
import { holderOf, settleZygote, startVmm } from '../../launcher/index.ts';
import { makingLimitMs, awaitDevices } from '../../pooled/rehearse.ts';
import { pooledSpec } from '../../pooled/pooled-spec.ts';
import { anonymousBytes } from '../../pooled/read-host-memory.ts';
import { eraseMachine } from '../erase-machine.ts';
import { gatherFacts, greet } from '../launch-machine.ts';
import { machinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import { openMonitor } from '../qmp/open-monitor.ts';
import { restoreState } from '../restore-state.ts';
import { socketsOf } from '../running-machine.ts';
import type { Template } from '../templates/template.ts';
import { zygoteCommand } from '../templates/template-command.ts';
import { removeZygoteRecord, socketOf, writeZygoteRecord, zygoteMachineId, zygoteSocketName, type ZygoteRecord } from './zygote.ts';

/** The second time everything is translated. */
const rehearsals = 3;

export async function makeZygote(context: QemuContext, template: Template, signal: AbortSignal): Promise<ZygoteRecord> {
  const began = context.clock.monotonic();
  const id = zygoteMachineId(template.key);
  await removeZygoteRecord(template); // of one that has ended: this one must not be taken for it
  await eraseMachine(context, id);
  try {
    const { shape } = template.record;
    const spec = pooledSpec('qemu', shape, id);
    const places = machinePlaces(context.instance, id);
    const launcher = await context.launcher();
    const facts = await gatherFacts(context, spec, places, template.scratch);
    await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
    const command = zygoteCommand(shape, facts, holderOf(template.folder));
    const { vmm } = await startVmm(launcher, places.runFolder, { uid: 0, cgroups: [], readable: [], links: [], devices: [], idle: true, zygote: zygoteSocketName, ...command }, signal);
    const monitor = openMonitor(places.monitor);
    const sockets = socketsOf(context, spec);
    try {
      await greet(monitor.connection(), signal);
      const line = await sockets.openAgentLine();
      await restoreState(await monitor.connection(), { state: command.state, limitMs: makingLimitMs, of: 'the template\'s state' }, signal);
      await monitor.execute('cont');
      const options = { clock: context.clock, dice: systemDice, log: context.log, handshakeMs: makingLimitMs, answerMs: makingLimitMs, signal };
      await awaitDevices(spec, line, options);
      // What a start says, and, in the place of a greeting, the like of what that reads and answers.
      for (let time = 0; time < rehearsals; time += 1) {
        await callUngreeted(line, 'configure', guestIdentity(spec, context.clock, systemDice), { ...options, inStep: true });
        await callUngreeted(line, 'fileRead', { container: '', path: '/proc/sys/kernel/osrelease', offset: 0, length: 100 }, options);
      }
      failpoint('machines.qemu.rehearsed');
      await monitor.execute('stop');
      await settleZygote(launcher, socketOf(places), command.line);
    } finally {
      monitor.close();
      sockets.close();
    }
    const record = { heldBytes: await anonymousBytes(vmm.pid), madeMs: Math.round(context.clock.monotonic() - began), launcher };
    await writeZygoteRecord(template, record);
    return record;
  } catch (thrown) {
    await eraseMachine(context, id);
    throw thrown;
  }
}
