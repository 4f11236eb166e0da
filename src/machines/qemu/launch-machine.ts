/** What a boot and a clone do alike: gather what the VMM needs, launch it, greet its monitor, take all of it back. */
import { mkdir, rm } from 'node:fs/promises';
import { failpoint, StrataError } from '#base';
import { readExitRecord, readKeeperRecord, startVmm, type KeeperRecord, type LaunchDescription } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { allocateUid } from '../vmm/allocate-uid.ts';
import { makeCgroups } from '../vmm/cgroups.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { removeRunTraces } from '../vmm/erase-vmm.ts';
import { copyScratchDisk, makeScratchDisk } from '../vmm/scratch-disk.ts';
import type { VmmFacts } from './command-line.ts';
import { machineDevices, machineLimits } from './launch-facts.ts';
import type { MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './open-qemu-engine.ts';
import { releaseReserve } from './pooled/release-reserve.ts';
import { writeStartRecord, type StartRecord } from './start-record.ts';

const greetingLimitMs = 20_000;

export interface Launch {
  readonly spec: MachineSpec;
  readonly places: MachinePlaces;
  readonly facts: VmmFacts;
  readonly startedBy: StartRecord['startedBy'];
  readonly pooled?: string;
  /** What differs between ways of starting. */
  readonly description: Omit<LaunchDescription, 'uid' | 'cgroups' | 'devices'>;
}

/** @param scratchFrom a scratch disk that it is to begin with; without it it is empty */
export async function gatherFacts(context: QemuContext, spec: MachineSpec, places: MachinePlaces, scratchFrom?: string): Promise<VmmFacts> {
  const [accelerator, kernel, tap, tscKhz] = await Promise.all([
    context.accelerator(spec.architecture),
    spec.boot.kind === 'guest-os' ? context.guestOs(spec.architecture) : null,
    spec.network === null || context.network === undefined ? null : context.network.ensureTap(spec.id),
    context.tscKhz(),
    spec.scratchMiB === 0 ? undefined : scratchFrom === undefined ? makeScratchDisk(places.scratch, spec.scratchMiB) : copyScratchDisk(scratchFrom, places.scratch),
  ]);
  return { accelerator, kernel, tap, tscKhz, scratch: spec.scratchMiB === 0 ? null : places.scratch, seed: null };
}

export async function launch(context: QemuContext, { spec, places, facts, startedBy, pooled, description }: Launch, signal: AbortSignal | undefined): Promise<KeeperRecord> {
  await releaseReserve(context, places); // of its last run
  const uid = await allocateUid(context.instance, spec.id);
  await mkdir(places.runFolder, { recursive: true, mode: 0o700 });
  const cgroups = await makeCgroups(context.instance, spec.id, machineLimits(spec.memoryMiB, startedBy.way === 'template' || startedBy.way === 'pool'));
  await writeStartRecord(places, { accelerator: facts.accelerator, uid, startedBy, ...(pooled === undefined ? {} : { pooled }), ready: startedBy.way === 'cold' });
  failpoint('machines.qemu.beforeLaunch');
  return startVmm(await context.launcher(), places.runFolder, { uid, cgroups, devices: machineDevices(facts.accelerator), ...description }, signal);
}

export async function greet(connection: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
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

/** Nothing of a failed start is left running; returns the error to be thrown, with QEMU's own words in it. */
export async function undoLaunch(context: QemuContext, spec: MachineSpec, places: MachinePlaces, known: KeeperRecord | undefined, error: unknown): Promise<unknown> {
  const held = error instanceof StrataError && error.code === 'machine.alreadyRuns';
  if (held) return error; // another start was faster; what runs is not ours to end
  // A launcher that was cut off may have left a VMM whose record we never got.
  const record = known ?? await readKeeperRecord(places.runFolder);
  if (record !== undefined) await endVmm(record).then(() => awaitExit(context, places, record));
  const exit = await readExitRecord(places.runFolder); // none where its keeper could not write one: then the error is all there is to say
  await releaseReserve(context, places);
  await removeRunTraces(context, places, spec.id);
  await rm(places.scratch, { force: true });
  if (exit === undefined || exit.stderr.trim() === '') return error;
  return new StrataError(`QEMU ended while machine ${spec.name} started: ${exit.stderr.trim().split('\n').slice(-3).join(' | ')}`, { code: 'machine.vmmFailed', kind: 'unavailable', cause: error, details: { exit } });
}
