/**
 * Lets a machine go on: a new QEMU with the devices it had, its disks attached, takes their state and its memory from files.
 * What keeps them is dropped before the guest runs: from then on its disks go another way than that memory. Cut off before,
 * the next start does it again; after, the machine is found paused and goes on.
 */
import { asStrataError, failpoint, StrataError } from '#base';
import type { RunningMachine } from '../engine.ts';
import { readKeeperRecord, type KeeperRecord, type LaunchDescription } from '../launcher/index.ts';
import type { MachineSpec } from '../machine.ts';
import { awaitExit, endVmm } from '../vmm/end-vmm.ts';
import { jailContents } from './jail-contents.ts';
import { claim, greet, launch } from './launch-machine.ts';
import type { MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { openMonitor } from './qmp/open-monitor.ts';
import type { WaitingVmm } from './ready/ready-vmms.ts';
import { restoreState } from './restore-state.ts';
import { openRunningMachine, socketsOf } from './running-machine.ts';
import { writeStartRecord, type StartRecord } from './start-record.ts';
import { suspendedCommand, type StateSource, type SuspendedDevices } from './suspended/suspended-command.ts';

export interface KeptState {
  readonly way: 'suspended' | 'snapshot';
  /** What it goes on from: `the suspended state`. */
  readonly from: string;
  /** Of the machine, where it did not: `did not go on`. */
  readonly failed: string;
  /** What then becomes of what is kept. */
  readonly advice: string;
  readonly limitMs: number;
  /** Of the launch, beside what each such machine has. */
  readonly description: Pick<LaunchDescription, 'ownDescriptors'>;
  /** Opens the disks, and says what devices it had and where their state lies. */
  open(): Promise<{ readonly devices: SuspendedDevices; readonly source: Omit<StateSource, 'tap'> }>;
  /** Before the guest runs: from then on none of it is kept. */
  forget(): Promise<void>;
  /** Removes its files. */
  drop(): Promise<void>;
}

/** Where QEMU does not take the state, nothing is left running and the answer says why; the disks are as they were. */
export async function goOnFromState(context: QemuContext, spec: MachineSpec, places: MachinePlaces, kept: KeptState, signal: AbortSignal | undefined): Promise<{ readonly machine: RunningMachine } | { readonly why: string }> {
  const started: { record?: KeeperRecord } = {};
  try {
    return { machine: await start(context, spec, places, kept, started, signal) };
  } catch (thrown) {
    const error = asStrataError(thrown, `going on from ${kept.from}`);
    if (error.code === 'machine.alreadyRuns') throw error;
    const record = started.record ?? await readKeeperRecord(places.runFolder);
    const exit = record === undefined ? null : (await endVmm(record), await awaitExit(context, places, record));
    const words = exit?.stderr.trim().split('\n').slice(-2).join(' | ') ?? '';
    const why = words === '' ? error.message : `${error.message}: ${words}`;
    // Only QEMU's own refusal says that the state is of no use; whatever else went wrong may go right the next time.
    if (error.code === 'machine.stateRefused') return { why };
    throw new StrataError(`machine ${spec.name} ${kept.failed}: ${why}`, { code: 'machine.resumeFailed', kind: error.kind, cause: error, advice: kept.advice });
  }
}

async function start(context: QemuContext, spec: MachineSpec, places: MachinePlaces, kept: KeptState, started: { record?: KeeperRecord }, signal: AbortSignal | undefined): Promise<RunningMachine> {
  signal?.throwIfAborted();
  const [tap, { devices, source }, claimed] = await Promise.all([
    spec.network === null || context.network === undefined ? null : context.network.ensureTap(spec.id), kept.open(), claim(context, spec, places, kept.way),
  ]);
  const command = suspendedCommand(devices, spec.id, { ...source, tap });
  const startedBy = { way: kept.way, why: '' } as const;
  const facts = { accelerator: devices.accelerator, kernel: null, tap, scratch: null, seed: null };
  const record = await launch(context, { spec, places, facts, startedBy, claimed, description: { ...jailContents(spec.architecture, null), ...kept.description, hugeHeap: true, keptHeap: true, copyable: true, ...command } }, signal);
  started.record = record;
  failpoint('machines.qemu.afterLaunch');
  const monitor = openMonitor(places.monitor);
  const sockets = socketsOf(context, spec);
  const begun: StartRecord = { accelerator: devices.accelerator, uid: record.uid, startedBy, layout: devices.layout, ready: true };
  return takeState(context, spec, places, { record, begun, monitor, sockets, state: command.state }, kept, signal);
}

/** From here on it is the machine: nothing of it stays open where it does not come to run. */
export async function takeState(
  context: QemuContext, spec: MachineSpec, places: MachinePlaces, { record, begun, monitor, sockets, state }: WaitingVmm, kept: Pick<KeptState, 'from' | 'limitMs' | 'forget' | 'drop'>, signal: AbortSignal | undefined,
  ready: () => Promise<void> = () => Promise.resolve(),
): Promise<RunningMachine> {
  const machine = openRunningMachine(context, spec, record, begun, monitor, sockets);
  try {
    await greet(monitor.connection(), signal);
    await ready();
    // Its guest stopped with the line open, and goes on with an open one.
    const line = await sockets.openAgentLine();
    await restoreState(await monitor.connection(), { state, limitMs: kept.limitMs, of: kept.from }, signal);
    failpoint('machines.qemu.restored');
    writeStartRecord(places, begun);
    failpoint('machines.qemu.beforeDropState');
    await kept.forget();
    failpoint('machines.qemu.beforeGoOn');
    sockets.handOn(line);
    await Promise.all([monitor.execute('cont'), kept.drop()]);
    return machine;
  } catch (thrown) {
    await machine.release();
    throw thrown;
  }
}
