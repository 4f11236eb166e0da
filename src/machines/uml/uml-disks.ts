/**
 * Disks of a running UML, plugged and unplugged by serial. One change at a time. What UML has is asked of UML, never
 * remembered, so a daemon that died between two steps leaves nothing that the next call does not finish.
 */
import { StrataError } from '#base';
import { plugDisk, tellUml, unplugDisk, type KeeperRecord } from '../launcher/index.ts';
import { backendDisks } from '../backends/backend-places.ts';
import { onlyFromTheStart } from '../backends/only-from-the-start.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { checkDisk } from './check-spec.ts';
import { freeDevice, jailDisk, pluggedDisks, ubdArgument, ubdDevices } from './disk-names.ts';
import { refuseCowDisk } from './refuse-cow-disk.ts';
import { diskLocked, refuseHeldDisk } from './refuse-held-disk.ts';
import type { UmlContext } from './uml-context.ts';
import { jail } from './uml-places.ts';

export interface UmlDisks {
  attach(disk: MachineDisk): Promise<void>;
  detach(serial: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

export function openUmlDisks(context: UmlContext, record: KeeperRecord, machine: Pick<MachineSpec, 'id' | 'name' | 'disks'>): UmlDisks {
  const { launcher } = context;
  const machineName = machine.name;
  const served = backendDisks(machine.disks).map((disk) => disk.serial);
  let tail: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = tail.then(work, work);
    tail = mine.catch(() => undefined);
    return mine;
  };
  const tell = async (commands: readonly string[]) => tellUml(await launcher(), record, jail.mconsole, commands);
  const ask = () => tell(ubdDevices.map((device) => `config ${device}`));
  const plugged = async () => pluggedDisks(await ask());

  async function attach(disk: MachineDisk): Promise<void> {
    if (served.includes(disk.serial)) return;
    if (disk.backend !== undefined) throw onlyFromTheStart(disk.serial);
    checkDisk(machineName, disk);
    await refuseCowDisk(disk);
    await refuseHeldDisk(context, machine, disk);
    const answers = await ask();
    if (pluggedDisks(answers).has(disk.serial)) return;
    const device = freeDevice(answers);
    if (device === undefined) throw new StrataError(`machine ${machineName} has ${ubdDevices.length} disks, and UML takes no more`, { code: 'machine.tooManyDisks', kind: 'exhausted', advice: 'use the engine qemu, or fewer services in one app' });
    const program = await launcher();
    await plugDisk(program, record, disk, jailDisk(disk.serial)).catch((thrown: unknown) => { throw isHeld(thrown) ? diskLocked(disk, thrown) : thrown; });
    try {
      await tell([`config ${ubdArgument(device, disk)}`]);
    } catch (error) {
      await unplugDisk(program, record, jailDisk(disk.serial)).catch(() => undefined); // the first error tells the story
      throw error;
    }
  }
  async function detach(serial: string): Promise<void> {
    if (served.includes(serial)) throw onlyFromTheStart(serial);
    const device = (await plugged()).get(serial);
    if (device !== undefined) {
      try {
        await tell([`remove ${device}`]);
      } catch (cause) {
        throw new StrataError(`the guest did not let go of the disk ${serial}`, { code: 'machine.diskBusy', kind: 'timeout', cause, advice: 'stop what uses it in the guest, then try again' });
      }
    }
    await unplugDisk(await launcher(), record, jailDisk(serial));
  }
  return { list: async () => [...(await plugged()).keys(), ...served], attach: (disk) => inTurn(() => attach(disk)), detach: (serial) => inTurn(() => detach(serial)) };
}

/** In the launcher's words (disk-tree.c). */
const isHeld = (thrown: unknown): boolean => thrown instanceof StrataError && thrown.code === 'machine.diskNotPassed' && thrown.message.endsWith('is in use by another machine');
