/** Starts a machine: its uid, folders, scratch disk, tap and limits, then the VMM; takes all of it back where a step fails. */
import { mkdir, rm } from 'node:fs/promises';
import { failpoint, StrataError } from '#base';
import type { RunningMachine } from '../engine.ts';
import { isHeld, readKeeperRecord, startVmm, type KeeperRecord } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { allocateUid } from '../vmm/allocate-uid.ts';
import { makeCgroups } from '../vmm/cgroups.ts';
import { translationCacheMiB, vmmCommand, type VmmFacts } from './command-line.ts';
import { checkSpec } from './check-spec.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { removeRunTraces } from '../vmm/erase-vmm.ts';
import { installedArchitectures } from './installed-architectures.ts';
import { jailContents } from './jail-contents.ts';
import { machinePlaces, type MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './open-qemu-engine.ts';
import { openRunningMachine } from './running-machine.ts';
import { makeScratchDisk } from '../vmm/scratch-disk.ts';
import { openMonitor } from './qmp/open-monitor.ts';
import { writeStartRecord } from './start-record.ts';

/** QEMU's own memory beside the guest's and the translation cache. */
const overheadMiB = 256;
const greetingLimitMs = 20_000;

export async function startMachine(context: QemuContext, spec: MachineSpec, signal?: AbortSignal): Promise<RunningMachine> {
  signal?.throwIfAborted();
  checkSpec(spec, installedArchitectures());
  const places = machinePlaces(context.instance, spec.id);
  const launcher = await context.launcher();
  // Before anything is touched: its scratch disk and its limits are in use.
  if (await isHeld(launcher, places.runFolder)) throw new StrataError(`machine ${spec.name} already runs`, { code: 'machine.alreadyRuns', kind: 'conflict', advice: 'adopt it instead of starting it' });
  const started: { record?: KeeperRecord } = {};
  try {
    const facts = await gatherFacts(context, spec, places);
    signal?.throwIfAborted();
    const record = await launch(context, spec, places, facts, signal);
    started.record = record;
    failpoint('machines.qemu.afterLaunch');
    const monitor = openMonitor(places.monitor);
    await greet(monitor.connection(), signal);
    return openRunningMachine(context, spec, record, facts.accelerator, monitor);
  } catch (error) {
    throw await undo(context, spec, places, started.record, error);
  }
}

async function launch(context: QemuContext, spec: MachineSpec, places: MachinePlaces, facts: VmmFacts, signal: AbortSignal | undefined): Promise<KeeperRecord> {
  const uid = await allocateUid(context.instance, spec.id);
  await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
  const memoryBytes = (spec.memoryMiB + overheadMiB + translationCacheMiB) * 1024 * 1024;
  const cgroups = await makeCgroups(context.instance, spec.id, { memoryBytes, processes: 256 });
  await writeStartRecord(places, { accelerator: facts.accelerator, uid });
  failpoint('machines.qemu.beforeLaunch');
  const command = vmmCommand(spec, facts);
  return startVmm(await context.launcher(), places.runFolder, { uid, cgroups, ...jailContents(spec.architecture, facts.kernel), devices: devices(facts), ...command }, signal);
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
async function undo(context: QemuContext, spec: MachineSpec, places: MachinePlaces, known: KeeperRecord | undefined, error: unknown): Promise<unknown> {
  const held = error instanceof StrataError && error.code === 'machine.alreadyRuns';
  if (held) return error; // another start was faster; what runs is not ours to end
  // A launcher that was cut off may have left a VMM whose record we never got.
  const record = known ?? await readKeeperRecord(places.runFolder);
  const exit = record === undefined ? null : (await endVmm(record), await awaitExit(context, places, record));
  await removeRunTraces(context, places, spec.id);
  await rm(places.scratch, { force: true });
  if (exit === null || exit.stderr.trim() === '') return error;
  return new StrataError(`QEMU ended while machine ${spec.name} started: ${exit.stderr.trim().split('\n').slice(-3).join(' | ')}`, { code: 'machine.vmmFailed', kind: 'unavailable', cause: error, details: { exit } });
}
