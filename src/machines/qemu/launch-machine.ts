/** What a boot and a clone do alike: gather what the VMM needs, launch it, greet its monitor, take all of it back. */
import { mkdir } from 'node:fs/promises';
import { failpoint, StrataError } from '#base';
import { startVmm, type KeeperRecord, type LaunchDescription } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { allocateUid } from '../vmm/allocate-uid.ts';
import { makeCgroups } from '../vmm/cgroups.ts';
import { copyScratchDisk, makeScratchDisk } from '../vmm/scratch-disk.ts';
import type { VmmFacts } from './command-line.ts';
import { machineDevices, machineLimits } from './launch-facts.ts';
import type { MachinePlaces } from './machine-places.ts';
import type { LaunchContext } from './qemu-context.ts';
import { releaseReserve } from '../pooled/release-reserve.ts';
import { undoLaunched } from '../pooled/undo-launched.ts';
import { writeStartRecord, type StartRecord } from './start-record.ts';

const greetingLimitMs = 20_000;

export interface Launch {
  readonly spec: MachineSpec;
  readonly places: MachinePlaces;
  readonly facts: VmmFacts;
  readonly startedBy: StartRecord['startedBy'];
  readonly pooled?: string;
  /** What was claimed for it already. */
  readonly claimed?: Claimed;
  /** What differs between ways of starting. */
  readonly description: Omit<LaunchDescription, 'uid' | 'cgroups' | 'devices'>;
}

/** @param scratchFrom a scratch disk that it is to begin with; without it it is empty */
export async function gatherFacts(context: LaunchContext, spec: MachineSpec, places: MachinePlaces, scratchFrom?: string): Promise<VmmFacts> {
  const [accelerator, kernel, tap, tscKhz] = await Promise.all([
    context.accelerator(spec.architecture),
    spec.boot.kind === 'guest-os' ? context.guestOs(spec.architecture) : null,
    spec.network === null || context.network === undefined ? null : context.network.ensureTap(spec.id),
    context.tscKhz(),
    spec.scratchMiB === 0 ? undefined : scratchFrom === undefined ? makeScratchDisk(places.scratch, spec.scratchMiB) : copyScratchDisk(scratchFrom, places.scratch),
  ]);
  return { accelerator, kernel, tap, tscKhz, scratch: spec.scratchMiB === 0 ? null : places.scratch, seed: null };
}

export interface Claimed { readonly uid: number; readonly cgroups: readonly string[] }

/** Its uid, its folder and its limits; needs nothing else of it. */
export async function claim(context: Pick<LaunchContext, 'instance' | 'network'>, spec: Pick<MachineSpec, 'id' | 'memoryMiB'>, places: MachinePlaces, way: StartRecord['startedBy']['way']): Promise<Claimed> {
  await releaseReserve(context, places); // of its last run
  const [uid, cgroups] = await Promise.all([
    allocateUid(context.instance, spec.id),
    makeCgroups(context.instance, spec.id, machineLimits(spec.memoryMiB, way === 'template' || way === 'pool')),
    mkdir(places.runFolder, { recursive: true, mode: 0o700 }),
  ]);
  return { uid, cgroups };
}

export async function launch(context: LaunchContext, { spec, places, facts, startedBy, pooled, claimed, description }: Launch, signal: AbortSignal | undefined): Promise<KeeperRecord> {
  const { uid, cgroups } = claimed ?? await claim(context, spec, places, startedBy.way);
  writeStartRecord(places, { accelerator: facts.accelerator, uid, startedBy, ...(pooled === undefined ? {} : { pooled }), ready: startedBy.way === 'cold' });
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
export function undoLaunch(context: LaunchContext, spec: MachineSpec, places: MachinePlaces, record: KeeperRecord | undefined, error: unknown): Promise<unknown> {
  return undoLaunched(context, { spec, places, record, vmm: 'QEMU' }, error);
}
