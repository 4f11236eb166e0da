/** Where the files of one back end lie on the host, and where the VMM that uses it sees its socket. */
import { join } from 'node:path';
import type { Instance } from '#base';
import type { MachineDisk } from '../machine.ts';
import { vmmPlaces, type VmmPlaces } from '../vmm/vmm-places.ts';

export interface BackendPlaces extends VmmPlaces {
  readonly monitor: string;
  /** The folder with the socket and nothing else, which is shown to the VMM. It outlives the process. */
  readonly shared: string;
}

/** A machine and the serial of one of its disks. */
export const backendId = (machineId: string, serial: string): string => `${machineId}-${serial}`;

/** Ids of machines have no dash. */
export const machineOfBackend = (id: string): string => id.slice(0, Math.max(0, id.indexOf('-')));
export const serialOfBackend = (id: string): string => id.slice(id.indexOf('-') + 1);

export function backendPlaces(instance: Instance, id: string): BackendPlaces {
  const places = vmmPlaces(instance, id, { run: 'b', state: 'backends' });
  return { ...places, monitor: join(places.runFolder, 'm'), shared: join(places.runFolder, 'shared') };
}

/** The folder with the layers and snapshots of a disk that a back end serves; beside the disk, and removed with it. */
export const keptOfDisk = (instance: Instance, machineId: string, serial: string): { readonly stateFolder: string } => ({ stateFolder: join(instance.stateDir, 'disks', machineId, serial) });

/** Name of the socket in the shared folder, where a VMM looks for it. */
export const sharedSocket = 'v';
/**
 * Its name until whoever made it serves: QEMU that connects to one that dies before it has answered never connects again
 * (it forgets to look, as of 7.2), so none must be found that does not answer yet.
 */
export const socketBeforeItServes = 'n';

const jailFolder = (serial: string): string => `/backends/${serial}`;
export const socketInJail = (serial: string): string => `${jailFolder(serial)}/${sharedSocket}`;

/** Disks of a machine that are served by back ends, in the order in which they are plugged. */
export function backendDisks(disks: readonly MachineDisk[]): readonly MachineDisk[] {
  return disks.filter((disk) => disk.backend !== undefined);
}

/** What the jail of a machine's VMM is shown of its back ends. */
export function sharedFolders(instance: Instance, machineId: string, disks: readonly MachineDisk[]): readonly { readonly source: string; readonly target: string }[] {
  return backendDisks(disks).map(({ serial }) => ({ source: backendPlaces(instance, backendId(machineId, serial)).shared, target: jailFolder(serial) }));
}

/** A back end tells no serial of its own; so the guest's agent is told where each disk is plugged. Slots before it are left to the VMM. */
const firstSlot = 16;
export const maxBackends = 14;
export const slotOf = (index: number): number => firstSlot + index;

/** The word of the guest kernel's command line; none without back ends. */
export function backendWords(disks: readonly MachineDisk[]): readonly string[] {
  const served = backendDisks(disks);
  return served.length === 0 ? [] : [`strata.backends=${served.map(({ serial }, index) => `${serial}:${slotOf(index)}`).join(',')}`];
}
