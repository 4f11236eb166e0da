/** Takes a launch back that came to nothing, with what the machine held from the pool. */
import { rm } from 'node:fs/promises';
import { StrataError } from '#base';
import { readExitRecord, readKeeperRecord, type KeeperRecord } from '../launcher/index.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { removeRunTraces } from '../vmm/erase-vmm.ts';
import type { VmmContext } from '../vmm/vmm-context.ts';
import type { VmmPlaces } from '../vmm/vmm-places.ts';
import { releaseReserve } from './release-reserve.ts';

export interface Launched {
  readonly spec: { readonly id: string; readonly name: string };
  readonly places: VmmPlaces;
  /** Undefined where the launch may have been cut off before it told it. */
  readonly record: KeeperRecord | undefined;
  /** As it is told to people. */
  readonly vmm: 'QEMU' | 'UML';
}

/** Nothing of a failed start is left running; returns the error to be thrown, with the VMM's own words in it. */
export async function undoLaunched(context: VmmContext, { spec, places, record: known, vmm }: Launched, error: unknown): Promise<unknown> {
  if (error instanceof StrataError && error.code === 'machine.alreadyRuns') return error; // another start was faster; what runs is not ours to end
  // A launcher that was cut off may have left a VMM whose record we never got.
  const record = known ?? await readKeeperRecord(places.runFolder);
  if (record !== undefined) await endVmm(record).then(() => awaitExit(context, places, record));
  const exit = await readExitRecord(places.runFolder); // none where its keeper could not write one: then the error is all there is to say
  await releaseReserve(context, places);
  await removeRunTraces(context, places, spec.id);
  await rm(places.scratch, { force: true });
  if (exit === undefined || exit.stderr.trim() === '') return error;
  return new StrataError(`${vmm} ended while machine ${spec.name} started: ${exit.stderr.trim().split('\n').slice(-3).join(' | ')}`, { code: 'machine.vmmFailed', kind: 'unavailable', cause: error, details: { exit } });
}
