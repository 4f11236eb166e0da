/** One QEMU for a fork: started in the fork's own folder, with memory and state that are empty yet; and all of it taken back. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint } from '#base';
import type { KeeperRecord } from '../../launcher/index.ts';
import type { MachineSpec } from '../../machine.ts';
import { freeUid } from '../../vmm/allocate-uid.ts';
import { endKnownVmm, removeRunTraces } from '../../vmm/erase-vmm.ts';
import { jailContents } from '../jail-contents.ts';
import { claim, greet, launch, undoLaunch } from '../launch-machine.ts';
import { machinePlaces } from '../machine-places.ts';
import type { LaunchContext } from '../qemu-context.ts';
import { openMonitor } from '../qmp/open-monitor.ts';
import { readStartRecord, type StartRecord } from '../start-record.ts';
import { copyLayout, suspendedCommand } from '../suspended/suspended-command.ts';
import { layoutOf } from '../suspended/suspend-machine.ts';
import { jailDescriptors } from '../templates/template-shape.ts';
import { vmmSockets } from '../../vmm/vmm-sockets.ts';
import type { WaitingVmm } from './ready-vmms.ts';

/** With the descriptor of its memory. */
export interface ReadyVmm extends WaitingVmm { readonly guestMemory: number }

const startedBy = { way: 'snapshot', why: '' } as const;

/** @throws where it does not come to greet; nothing is left of it then */
export async function makeReadyVmm(context: LaunchContext, id: string, original: { readonly spec: MachineSpec; readonly start: StartRecord }, signal: AbortSignal): Promise<ReadyVmm> {
  // The card's address is the original's, as the state will say; the guest gives it its own with its identity.
  const spec: MachineSpec = { ...original.spec, id, disks: [] };
  const { accelerator } = original.start;
  const places = machinePlaces(context.instance, id);
  const started: { record?: KeeperRecord } = {};
  try {
    const [tap, claimed, qemuVersion] = await Promise.all([spec.network === null || context.network === undefined ? null : context.network.ensureTap(id), claim(context, spec, places, 'snapshot'), context.qemuVersion()]);
    signal.throwIfAborted();
    const layout = copyLayout(layoutOf(original.start));
    const { state, guestMemory = 0, ...command } = suspendedCommand({ ...spec, qemuVersion, accelerator, layout, mac: spec.network?.mac ?? null, disks: [] }, id, { state: null, memory: null, tap });
    const facts = { accelerator, kernel: null, tap, scratch: null, seed: null };
    const record = await launch(context, { spec, places, facts, startedBy, claimed, description: { ...jailContents(spec.architecture, null), ownDescriptors: jailDescriptors, hugeHeap: true, keptHeap: true, copyable: true, ...command } }, signal);
    started.record = record;
    failpoint('machines.qemu.readyLaunched');
    const monitor = openMonitor(places.monitor);
    try {
      await greet(monitor.connection(), signal);
    } catch (thrown) {
      monitor.close();
      throw thrown;
    }
    return { record, monitor, sockets: vmmSockets(places, spec.name), state, guestMemory, begun: { accelerator, uid: record.uid, startedBy, layout, ready: true } };
  } catch (thrown) {
    throw await undoLaunch(context, spec, places, started.record, thrown);
  }
}

/** All of its start; what was put for the machine to go on from stays. Twice is as once. */
export async function takeBack(context: LaunchContext, id: string): Promise<void> {
  const places = machinePlaces(context.instance, id);
  await endKnownVmm(context, places);
  await removeRunTraces(context, places, id);
  await freeUid(context.instance, id);
}

/** Ends what an earlier daemon had ready and nobody took, as what it had not let go on yet. Before anything is started. */
export async function sweepReady(context: LaunchContext): Promise<void> {
  for (const id of await readdir(join(context.instance.runDir, 'q')).catch(() => [])) {
    const places = machinePlaces(context.instance, id);
    const start = await readStartRecord(places).catch(() => undefined);
    if (start?.ready === false && start.startedBy.way === 'snapshot') await endKnownVmm(context, places);
  }
}
