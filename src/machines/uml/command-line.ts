/** What UML is told and which descriptors it gets. Pure: the same machine gives the same text. */
import { firstDescriptor, type MountedDisk, type VmmDescriptor } from '../launcher/index.ts';
import { backendDisks, backendWords, slotOf, socketInJail } from '../backends/backend-places.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { ubdArgument, ubdDevices } from './disk-names.ts';
import { jail } from './uml-places.ts';

export interface UmlFacts {
  /** Name of the machine's tap; null without a network. */
  readonly tap: string | null;
  /** The scratch disk's file; null without one. */
  readonly scratch: string | null;
  /** Loops of the delay calibration, measured once for each boot of the host; null where nobody has measured yet. */
  readonly loopsPerJiffy: number | null;
  /** Whether the kernel is to tell on the console what it measures. */
  readonly measure: boolean;
}

export interface UmlCommand {
  readonly program: string;
  readonly argv: readonly string[];
  readonly descriptors: readonly VmmDescriptor[];
  readonly mounted: { readonly folder: string; readonly disks: readonly MountedDisk[] };
}

/**
 * Tuned for a short start, each choice measured: a RAID6 benchmark is two thirds of an untuned boot; of the rest the 256 old-style
 * terminals, for each of which the kernel starts a program that is not there, are two thirds again, the delay loop's calibration a
 * tenth, and filesystems that no disk of ours has and a cache of compressed swap, which make threads and look for modules, an
 * eighth. Without hostfs the guest's root cannot even look at the jail's files. loglevel=5: warnings reach the console, so that a
 * guest that does not come up says why.
 */
const without = ['raid6_select_algo', 'init_hostfs', 'init_jfs_fs', 'init_xfs_fs', 'init_btrfs_fs', 'init_zswap'];
const tuning = [`initcall_blacklist=${without.join()}`, 'pty.legacy_count=0', 'random.trust_cpu=on', 'cryptomgr.notests', 'rcupdate.rcu_expedited=1'];

export function umlCommand(spec: MachineSpec, facts: UmlFacts): UmlCommand {
  const descriptors: VmmDescriptor[] = [];
  const add = (one: VmmDescriptor): number => descriptors.push(one) - 1 + firstDescriptor;
  const console = add({ kind: 'console' });
  const line = add({ kind: 'line' });
  const disks = disksAtStart(spec, facts);
  const argv = [
    // The first word is what UML would run again at a reboot; there is no such program in the jail, so it ends.
    `uml-${spec.id}`, `mem=${spec.memoryMiB}M`, 'umid=m', `uml_dir=${jail.memory}/`, `initrd=${jail.initramfs}`,
    `con0=fd:${console},fd:${console}`, 'con=null', `ssl0=fd:${line},fd:${line}`, 'ssl=null', 'strata.line=/dev/ttyS0',
    ...tuning, `loglevel=${facts.measure ? 7 : 5}`, ...(facts.loopsPerJiffy === null ? [] : [`lpj=${facts.loopsPerJiffy}`]),
    ...(facts.scratch === null ? [] : ['strata.scratch=disk']),
    ...backendWords(spec.disks), ...backendDisks(spec.disks).map((disk, index) => backendArgument(disk, index)),
    ...disks.map((disk, index) => ubdArgument(ubdDevices[index] ?? '', disk)),
  ];
  if (facts.tap !== null && spec.network !== null) argv.push(`vec0:transport=fd,fd=${add({ kind: 'plain-tap', name: facts.tap })},vec=0,mac=${checkedMac(spec.network.mac)}`);
  return { program: jail.kernel, argv, descriptors, mounted: { folder: jail.disks, disks: disks.map(({ serial, path, readOnly }) => ({ name: serial, path, readOnly })) } };
}

function disksAtStart(spec: MachineSpec, facts: UmlFacts): readonly MachineDisk[] {
  return [...spec.disks.filter((disk) => disk.backend === undefined), ...(facts.scratch === null ? [] : [{ serial: 'scratch', path: facts.scratch, format: 'raw', readOnly: false } as const])];
}

/** Type 2 is a block device; its number is part of the device's name, by which the agent finds it. */
function backendArgument(disk: MachineDisk, index: number): string {
  return `virtio_uml.device=${socketInJail(disk.serial)}:2:${slotOf(index)}`;
}

/** A comma in it would start another option. */
function checkedMac(mac: string): string {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) throw new RangeError(`'${mac}' is no MAC`);
  return mac;
}
