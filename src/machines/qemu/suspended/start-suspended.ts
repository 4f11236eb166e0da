/** Lets a suspended machine go on from what is kept of it. */
import type { RunningMachine } from '../../engine.ts';
import type { MachineSpec } from '../../machine.ts';
import { goOnFromState } from '../go-on-from-state.ts';
import type { MachinePlaces } from '../machine-places.ts';
import type { QemuContext } from '../qemu-context.ts';
import { findSuspended } from './find-suspended.ts';
import { dropSuspended, forgetSuspended, suspendedState, type SuspendedRecord } from './suspended-record.ts';

const limitMs = 120_000;

type GoneOn = { readonly machine: RunningMachine } | { readonly why: string };

/** Undefined where it was not suspended; what cannot be used is dropped, and says why. */
export async function startSuspended(context: QemuContext, spec: MachineSpec, places: MachinePlaces, signal: AbortSignal | undefined): Promise<GoneOn | undefined> {
  const kept = await findSuspended(context, spec, places);
  const gone = kept === undefined || 'why' in kept ? kept : await goOn(context, spec, places, kept.record, signal);
  if (gone === undefined || 'machine' in gone) return gone;
  context.log.warn({ machineId: spec.id, why: gone.why }, 'the suspended state of a machine cannot be used and is dropped');
  await dropSuspended(places);
  return { why: `its suspended state was dropped: ${gone.why}` };
}

function goOn(context: QemuContext, spec: MachineSpec, places: MachinePlaces, kept: SuspendedRecord, signal: AbortSignal | undefined): Promise<GoneOn> {
  return goOnFromState(context, spec, places, {
    way: 'suspended', from: 'its suspended state', failed: 'did not go on', advice: 'what it had in memory is kept; it is tried again', limitMs, description: {},
    open: async () => ({ devices: kept, source: { state: suspendedState(places) } }),
    forget: () => forgetSuspended(places), drop: () => dropSuspended(places),
  }, signal);
}
