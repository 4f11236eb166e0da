/**
 * Starts a machine: from the pool where a paused one fits, else as a clone where a template fits, else by a boot. Its uid, folders, scratch disk, tap and limits come
 * first, then the VMM; all of it is taken back where a step fails.
 */
import { existsSync } from 'node:fs';
import { failpoint } from '#base';
import type { RunningMachine } from '../engine.ts';
import { isHeld, type KeeperRecord } from '../launcher/index.ts';
import { backendDisks, sharedFolders } from '../backends/backend-places.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { withDisksNow } from './copies/disks-record.ts';
import { startFromMemory } from './copies/start-from-memory.ts';
import { vmmCommand } from './command-line.ts';
import type { ProgramContents } from '../vmm/program-contents.ts';
import { alreadyRuns, startAlone } from '../vmm/start-alone.ts';
import { checkSpec } from './check-spec.ts';
import { installedArchitectures } from './installed-architectures.ts';
import { jailContents } from './jail-contents.ts';
import { gatherFacts, greet, launch, undoLaunch } from './launch-machine.ts';
import { machinePlaces, type MachinePlaces } from './machine-places.ts';
import type { QemuContext } from './qemu-context.ts';
import { refuseHeldElsewhere } from './refuse-held-elsewhere.ts';
import { openRunningMachine } from './running-machine.ts';
import { openMonitor } from './qmp/open-monitor.ts';
import { startSuspended } from './suspended/start-suspended.ts';
import { startPooled } from './pooled/start-pooled.ts';
import { startClone } from './start-clone.ts';
import { shapeOf, type TemplateShape } from './templates/template-shape.ts';

export const startMachine = (context: QemuContext, spec: MachineSpec, signal?: AbortSignal): Promise<RunningMachine> => startAlone(context, spec, () => start(context, spec, signal));

async function start(context: QemuContext, spec: MachineSpec, signal: AbortSignal | undefined): Promise<RunningMachine> {
  signal?.throwIfAborted();
  checkSpec(spec, installedArchitectures());
  const places = machinePlaces(context.instance, spec.id);
  const served = backendDisks(spec.disks);
  const cloned = context.templates !== undefined && spec.boot.kind === 'guest-os' && served.length === 0;
  const [held, shape] = await Promise.all([
    context.readyVmms.has(spec.id) ? false : isRunning(context, places), cloned ? shapeOfMachine(context, spec) : undefined, refuseHeldElsewhere(context, spec.id, spec.disks),
  ]);
  // Before anything is touched: its scratch disk and its limits are in use.
  if (held) throw alreadyRuns(spec);
  const kept = await startFromMemory(context, spec, places, signal) ?? await startSuspended(context, spec, places, signal);
  if (kept !== undefined && 'machine' in kept) return kept.machine;
  await context.readyVmms.drop(spec.id); // where it has nothing to go on from
  if (kept !== undefined) return boot(context, spec, places, kept.why, signal);
  if (shape === undefined) return boot(context, spec, places, context.templates === undefined ? '' : whyNoClone(served), signal);
  const pooled = await startPooled(context, spec, places, shape, signal);
  if (pooled !== undefined) return pooled;
  const clone = await startClone(context, spec, places, shape, signal);
  if ('machine' in clone) return clone.machine;
  const machine = await boot(context, spec, places, clone.why, signal);
  context.templates?.missed(shape);
  return machine;
}

/** Who never ran has no folder. */
const isRunning = async (context: QemuContext, places: MachinePlaces): Promise<boolean> => existsSync(places.runFolder) && isHeld(await context.launcher(), places.runFolder);

const withBackends = (context: QemuContext, spec: MachineSpec, contents: ProgramContents): ProgramContents => ({ ...contents, readable: [...contents.readable, ...sharedFolders(context.instance, spec.id, spec.disks)] });

function whyNoClone(served: readonly MachineDisk[]): string {
  return served.length === 0 ? '' : `back ends serve its disks ${served.map((disk) => disk.serial).join(', ')}, and they need its memory shared, which a clone's is not`;
}

/** What a template must have in common with it. */
export async function shapeOfMachine(context: QemuContext, spec: MachineSpec): Promise<TemplateShape> {
  const [accelerator, guestOs, version] = await Promise.all([context.accelerator(spec.architecture), context.guestOs(spec.architecture), context.qemuVersion()]);
  return shapeOf(context.network === undefined ? { ...spec, network: null } : spec, accelerator, version, guestOs.version);
}

async function boot(context: QemuContext, spec: MachineSpec, places: MachinePlaces, why: string, signal: AbortSignal | undefined): Promise<RunningMachine> {
  const started: { record?: KeeperRecord } = {};
  try {
    const [facts, lying] = await Promise.all([gatherFacts(context, spec, places), withDisksNow(places, spec)]);
    signal?.throwIfAborted();
    const startedBy = { way: 'cold', why } as const;
    const record = await launch(context, { spec, places, facts, startedBy, description: { ...withBackends(context, spec, jailContents(spec.architecture, facts.kernel)), ...vmmCommand(lying, facts), hugeHeap: facts.kernel !== null, copyable: true } }, signal);
    started.record = record;
    failpoint('machines.qemu.afterLaunch');
    const monitor = openMonitor(places.monitor);
    await greet(monitor.connection(), signal);
    return openRunningMachine(context, spec, record, { accelerator: facts.accelerator, uid: record.uid, startedBy, ready: true }, monitor);
  } catch (error) {
    throw await undoLaunch(context, spec, places, started.record, error);
  }
}
