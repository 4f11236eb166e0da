/**
 * Makes a template: boots a machine on memory that a holder holds, with a card and a scratch disk where its clones have them, waits until its guest has done
 * all it does by itself, freezes it, has it write its device state down, ends it, seals both. On failure nothing is left.
 */
import { copyFile, mkdir } from 'node:fs/promises';
import { failpoint, StrataError, systemDice } from '#base';
import { callUngreeted } from '../../agent/open-agent-connection.ts';
import { guestIdentity } from '../../guest-identity.ts';
import { holderOf, holdTemplate, sealTemplate, startVmm } from '../../launcher/index.ts';
import { allocateUid } from '../../vmm/allocate-uid.ts';
import { makeCgroups } from '../../vmm/cgroups.ts';
import { awaitExit, endVmm } from '../../vmm/end-vmm.ts';
import { copyScratchDisk, makeScratchDisk } from '../../vmm/scratch-disk.ts';
import { vmmSockets, type VmmSockets } from '../../vmm/vmm-sockets.ts';
import { eraseMachine } from '../erase-machine.ts';
import { jailContents } from '../jail-contents.ts';
import { machineDevices, machineLimits } from '../launch-facts.ts';
import { machinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import { openMonitor, type Monitor } from '../qmp/open-monitor.ts';
import { measureClock } from './measure-clock.ts';
import { dropTemplate } from './drop-template.ts';
import { templateCommand, templateMac } from './template-command.ts';
import { templateMachineId, type TemplatePlaces } from './template-places.ts';
import { writeTemplateRecord, type TemplateRecord } from './template-record.ts';
import { jailDescriptors, templateKey, type TemplateShape } from './template-shape.ts';

/** It runs only while nobody else wants the processor. */
const bootLimitMs = 300_000;
const saveLimitMs = 60_000;

export async function makeTemplate(context: QemuContext, shape: TemplateShape, places: TemplatePlaces, signal: AbortSignal): Promise<TemplateRecord> {
  const launcher = await context.launcher();
  const began = context.clock.monotonic();
  const id = templateMachineId(templateKey(shape));
  await eraseMachine(context, id); // of an earlier daemon
  await dropTemplate(context, templateKey(shape));
  signal.throwIfAborted();
  try {
    await mkdir(places.folder, { recursive: true, mode: 0o700 });
    await holdTemplate(launcher, places.folder, shape.memoryMiB * 1024 * 1024);
    await bootAndFreeze(context, shape, id, places, signal);
    failpoint('machines.qemu.beforeSeal');
    const sizes = await sealTemplate(launcher, places.folder);
    const record: TemplateRecord = { shape, usedBytes: sizes.usedBytes, stateBytes: sizes.stateBytes, madeAt: context.clock.now(), madeMs: Math.round(context.clock.monotonic() - began) };
    await writeTemplateRecord(places, record);
    return record;
  } catch (error) {
    await dropTemplate(context, templateKey(shape));
    throw error;
  } finally {
    await eraseMachine(context, id);
  }
}

async function bootAndFreeze(context: QemuContext, shape: TemplateShape, id: string, template: TemplatePlaces, signal: AbortSignal): Promise<void> {
  const places = machinePlaces(context.instance, id);
  const launcher = await context.launcher();
  const guestOs = await context.guestOs(shape.architecture);
  if (guestOs.version !== shape.guestOsVersion) throw new StrataError('the guest OS has changed', { code: 'machine.templateFailed', kind: 'conflict' });
  const uid = await allocateUid(context.instance, id);
  await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
  const cgroups = await makeCgroups(context.instance, id, machineLimits(shape.memoryMiB, false));
  const tap = shape.card && context.network !== undefined ? await context.network.ensureTap(id) : null;
  if (shape.scratchMiB > 0) await makeScratchDisk(places.scratch, shape.scratchMiB);
  const command = templateCommand(shape, id, holderOf(template.folder), { tap, scratch: shape.scratchMiB > 0 ? places.scratch : null, tscKhz: await context.tscKhz() });
  const vmm = await startVmm(launcher, places.runFolder, {
    uid, cgroups, ...jailContents(shape.architecture, guestOs), devices: machineDevices(shape.accelerator), idle: true, hugeHeap: true, ownDescriptors: jailDescriptors, ...command,
  }, signal);
  const monitor = openMonitor(places.monitor);
  const sockets = vmmSockets(places, id);
  try {
    await awaitReadiness(context, id, shape, sockets, signal); // and the line stays open: so it is in every clone
    await freeze(monitor, command.stateFile);
    await copyFile(`${places.runFolder}/console`, template.console);
  } finally {
    monitor.close();
    sockets.close();
    await endVmm(vmm);
    await awaitExit(context, places, vmm);
  }
  if (shape.scratchMiB > 0) await copyScratchDisk(places.scratch, template.scratch);
}

/**
 * Its agent answers, has loaded every driver and done once what a clone is asked first, and its clock is right. Nobody greets
 * it: a greeting would give all clones one boot id.
 */
async function awaitReadiness(context: QemuContext, id: string, shape: TemplateShape, sockets: VmmSockets, signal: AbortSignal): Promise<void> {
  const options = { clock: context.clock, dice: systemDice, log: context.log, handshakeMs: bootLimitMs, answerMs: bootLimitMs, signal };
  const line = await sockets.openAgentLine();
  await callUngreeted(line, 'awaitDisks', { serials: [], timeoutMs: 1000 }, options);
  const identity = guestIdentity({ id, name: 'template', network: shape.card ? { mac: templateMac, address: '' } : null }, context.clock, systemDice);
  await callUngreeted(line, 'configure', identity, { ...options, inStep: true });
  await measureClock(context.clock, async () => (await callUngreeted(line, 'ping', {}, { ...options, inStep: true })).uptimeMs, signal);
}

/** The devices alone: the memory is the holder's already, and ROMs and flash chips are in every QEMU as they were in this. */
async function freeze(monitor: Monitor, stateFile: string): Promise<void> {
  await monitor.execute('stop');
  await monitor.execute('xen-save-devices-state', { filename: stateFile, live: true }, { timeoutMs: saveLimitMs });
}
