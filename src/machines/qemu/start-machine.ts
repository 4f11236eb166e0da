/** Starts a machine: its uid, folders, scratch disk, tap and limits, then the VMM; takes all of it back where a step fails. */
import { mkdir } from 'node:fs/promises';
import { failpoint, StrataError } from '#base';
import type { RunningMachine } from '../engine.ts';
import { startVmm, type KeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { allocateUid } from './allocate-uid.ts';
import { makeCgroups } from './cgroups.ts';
import { translationCacheMiB, vmmCommand, type VmmFacts } from './command-line.ts';
import { checkSpec } from './check-spec.ts';
import { awaitExit, endVmm } from './end-vmm.ts';
import { removeRunTraces } from './erase-machine.ts';
import { jailContents } from './jail-contents.ts';
import { machinePlaces, type MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './open-qemu-engine.ts';
import { openRunningMachine } from './running-machine.ts';
import { makeScratchDisk } from './scratch-disk.ts';
import { openMonitor } from './qmp/open-monitor.ts';
import { writeStartRecord } from './start-record.ts';

/** QEMU's own memory beside the guest's and the translation cache. */
const overheadMiB = 256;
const greetingLimitMs = 20_000;

export async function startMachine(context: QemuContext, spec: MachineSpec, signal?: AbortSignal): Promise<RunningMachine> {
  checkSpec(spec);
  const places = machinePlaces(context.instance, spec.id);
  const launcher = await context.launcher();
  const facts = await gatherFacts(context, spec, places);
  signal?.throwIfAborted();
  const uid = await allocateUid(context.instance, spec.id);
  await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
  const command = vmmCommand(spec, facts);
  let record: KeeperRecord | undefined;
  try {
    const memoryBytes = (spec.memoryMiB + overheadMiB + translationCacheMiB) * 1024 * 1024;
    const cgroups = await makeCgroups(context.instance, spec.id, { memoryBytes, processes: 256 });
    await writeStartRecord(places, { accelerator: facts.accelerator, uid });
    failpoint('machines.qemu.beforeLaunch');
    record = await startVmm(launcher, places.runFolder, {
      uid, cgroups, ...jailContents(spec.architecture, facts.kernel), devices: devices(facts), descriptors: command.descriptors, program: command.program, argv: command.argv,
    }, signal);
    failpoint('machines.qemu.afterLaunch');
    const monitor = openMonitor(places.monitor);
    await greet(monitor.connection(), signal);
    return openRunningMachine(context, spec, record, facts.accelerator, monitor);
  } catch (error) {
    throw await undo(context, spec, places, record, error);
  }
}

async function gatherFacts(context: QemuContext, spec: MachineSpec, places: MachinePlaces): Promise<VmmFacts> {
  const [accelerator, kernel, tap] = await Promise.all([
    context.accelerator(spec.architecture),
    spec.boot.kind === 'guest-os' ? context.guestOs(spec.architecture) : null,
    spec.network === null || context.network === undefined ? null : context.network.ensureTap(spec.id),
    spec.scratchMiB === 0 ? undefined : makeScratchDisk(places.scratch, spec.scratchMiB),
  ]);
  return { accelerator, kernel, tap, scratch: spec.scratchMiB === 0 ? null : places.scratch, seed: null };
}

function devices(facts: VmmFacts): readonly string[] {
  return ['/dev/null', '/dev/zero', '/dev/urandom', ...(facts.accelerator === 'kvm' ? ['/dev/kvm'] : [])];
}

async function greet(connection: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  const limit = AbortSignal.timeout(greetingLimitMs);
  const stop = Promise.withResolvers<never>();
  const onAbort = (): void => stop.reject(signal?.aborted === true ? signal.reason : new StrataError('QEMU did not greet in time', { code: 'machine.noGreeting', kind: 'timeout' }));
  for (const one of [limit, signal]) one?.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([connection, stop.promise]);
  } finally {
    for (const one of [limit, signal]) one?.removeEventListener('abort', onAbort);
  }
}

/** Nothing of a failed start is left running; QEMU's own words go into the error. */
async function undo(context: QemuContext, spec: MachineSpec, places: MachinePlaces, record: KeeperRecord | undefined, error: unknown): Promise<unknown> {
  const held = error instanceof StrataError && error.code === 'machine.alreadyRuns';
  if (held) return error; // what runs there is not ours to end
  const exit = record === undefined ? null : (await endVmm(record), await awaitExit(context, places, record));
  await removeRunTraces(context, spec.id);
  if (record === undefined || exit === null || exit.stderr.trim() === '') return error;
  return new StrataError(`QEMU ended while machine ${spec.name} started: ${exit.stderr.trim().split('\n').slice(-3).join(' | ')}`, { code: 'machine.vmmFailed', kind: 'unavailable', cause: error, details: { exit } });
}
