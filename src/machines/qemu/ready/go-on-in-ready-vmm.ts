/** Lets a machine go on from a snapshot in a QEMU that was made ready for it: its disks are handed in now, since they begin with the copy. */
import { asStrataError } from '#base';
import type { RunningMachine } from '../../engine.ts';
import { passDisks } from '../../launcher/index.ts';
import type { MachineDisk, MachineSpec } from '../../machine.ts';
import { endVmm, awaitExit } from '../../vmm/end-vmm.ts';
import { deviceArguments, driveNode } from '../drives.ts';
import { takeState, type KeptState } from '../go-on-from-state.ts';
import type { MachinePlaces } from '../machine-places.ts';
import { firstSet } from '../plugged-disks.ts';
import type { QemuContext } from '../qemu-context.ts';
import type { Monitor } from '../qmp/open-monitor.ts';

/** Undefined where none is ready, or it did not come to run: then nothing is left of it, and the machine is started anew. */
export async function goOnInReadyVmm(
  context: QemuContext, spec: MachineSpec, places: MachinePlaces, snapshot: { readonly id: string; readonly folder: string }, disks: () => Promise<readonly { readonly disk: MachineDisk; readonly scsiId: number }[]>,
  kept: Pick<KeptState, 'from' | 'limitMs' | 'forget' | 'drop'> & { isThere(): Promise<boolean> }, signal: AbortSignal | undefined,
): Promise<RunningMachine | undefined> {
  if (!context.readyVmms.has(spec.id)) return undefined;
  // The guard of its network is in place before its guest runs, and its tap is known to lead there.
  const prepared = Promise.all([disks(), spec.network === null ? undefined : context.network?.ensureTap(spec.id)]);
  prepared.catch(() => undefined); // told where it is awaited
  const vmm = await context.readyVmms.take(spec.id, snapshot.id, snapshot.folder);
  if (vmm === undefined) {
    await Promise.allSettled([prepared]);
    return undefined;
  }
  try {
    return await takeState(context, spec, places, vmm, kept, signal, async () => handIn(await context.launcher(), places, vmm, (await prepared)[0]));
  } catch (thrown) {
    await Promise.allSettled([prepared]);
    await endVmm(vmm.record).then(() => awaitExit(context, places, vmm.record));
    if (signal?.aborted === true || !(await kept.isThere())) throw thrown;
    context.log.warn({ machineId: spec.id, error: asStrataError(thrown, 'ready VMM').message }, 'a machine did not go on in the VMM that was ready for it');
    return undefined;
  }
}

/** As they are handed to a QEMU that is started: opened by us, all at once, and now that nobody writes what lies below them. */
async function handIn(launcher: string, places: MachinePlaces, { monitor }: { readonly monitor: Monitor }, disks: readonly { readonly disk: MachineDisk; readonly scsiId: number }[]): Promise<void> {
  let set = firstSet;
  const plugs = disks.map(({ disk, scsiId }) => ({
    disk, scsiId, files: [disk, ...(disk.backing ?? []).map(({ path }) => ({ path, readOnly: true }))].map(({ path, readOnly }) => ({ set: set++, path, readOnly })),
  }));
  await passDisks(launcher, places.passing, plugs.flatMap(({ files }) => files));
  // All said at once, and done in this order.
  await Promise.all(plugs.flatMap(({ disk, scsiId, files }) => {
    const [top = 0, ...below] = files.map((one) => one.set);
    return [monitor.execute('blockdev-add', driveNode(disk, top, below)), monitor.execute('device_add', { ...deviceArguments(disk), 'scsi-id': scsiId })];
  }));
}
