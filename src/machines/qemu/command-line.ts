/**
 * QEMU's command line and the descriptors it counts on. Pure: the same machine gives the same text. Disks are
 * `-blockdev` JSON with explicit formats, their files inherited descriptors (`/dev/fdset/<n>`), so no path is ever
 * parsed by QEMU and nothing is probed.
 */
import type { Architecture } from '#base';
import { firstDescriptor, type VmmDescriptor } from '../launcher/index.ts';
import { backendDisks, backendWords } from '../backends/backend-places.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { backendArguments, sharedMemory } from './backend-drives.ts';
import { deviceArguments, driveNode } from './drives.ts';
import { kernelCommandLine, type KernelWords } from './kernel-command-line.ts';

export interface VmmFacts {
  readonly accelerator: 'kvm' | 'tcg';
  /** Null for machines that boot their own disk. */
  readonly kernel: { readonly kernel: string; readonly initramfs: string } | null;
  /** Of the host's time-stamp counter; undefined where it has none. */
  readonly tscKhz?: number | undefined;
  /** Name of the machine's tap; null without a network. */
  readonly tap: string | null;
  /** The scratch disk's file; null without one. */
  readonly scratch: string | null;
  /** Serial and file of an image with cloud-init's data; null without one. */
  readonly seed: MachineDisk | null;
}

export interface VmmCommand {
  readonly program: string;
  readonly argv: readonly string[];
  readonly descriptors: readonly VmmDescriptor[];
}

/** Where kernel and initramfs lie inside the jail. */
export const jailKernel = '/kernel';
export const jailInitramfs = '/initramfs';
export const agentPortName = 'strata.agent';
/** In the machine's folder. */
export const agentSocketName = 'a';

/** Translation cache of TCG. Larger ones cost memory in each machine, smaller ones are flushed during boot. */
export const translationCacheMiB = 128;

export const qemuProgram = (architecture: Architecture): string => `/usr/bin/qemu-system-${architecture}`;

/**
 * For a QEMU that takes a state of the devices alone, as `xen-save-devices-state` writes it: without memory, without what a
 * migration begins and ends with. All that such a QEMU writes lacks these as well.
 */
export const devicesAlone = ['-global', 'migration.send-configuration=off', '-machine', 'suppress-vmdesc=on'];

const sandbox = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

/** Takes descriptors in the order in which the command line names them; the answer is their number in the VMM. */
export type AddDescriptor = (one: VmmDescriptor) => number;

export function vmmCommand(spec: MachineSpec, facts: VmmFacts): VmmCommand {
  const { descriptors, add } = descriptorList();
  const served = backendDisks(spec.disks);
  const argv = [
    ...opening(spec.architecture, spec.id), ...platform(spec.architecture, facts.accelerator, served.length === 0 ? '' : ',memory-backend=memory'), ...size(spec),
    ...(served.length === 0 ? [] : sharedMemory(spec)),
    ...(facts.kernel === null ? [] : bootArguments(spec.architecture, facts.accelerator, { scratch: facts.scratch !== null, disks: disksAtStart(spec, facts).length, cardLater: false, ...tscWord(facts.tscKhz), more: backendWords(spec.disks) })),
    ...commonDevices(add),
    ...served.flatMap(backendArguments),
  ];
  if (facts.tap !== null && spec.network !== null) argv.push(...cardArguments(add, facts.tap, spec.network.mac));
  disksAtStart(spec, facts).forEach((disk, index) => argv.push(...diskArguments(add, disk, facts.kernel === null ? { bootindex: index } : {})));
  return { program: qemuProgram(spec.architecture), argv, descriptors };
}

export function descriptorList(): { readonly descriptors: readonly VmmDescriptor[]; readonly add: AddDescriptor } {
  const descriptors: VmmDescriptor[] = [];
  return { descriptors, add: (one) => descriptors.push(one) - 1 + firstDescriptor };
}

/** @param filtered false: without QEMU's own seccomp filter, which would keep it from being copied */
export function opening(architecture: Architecture, name: string, filtered = true): string[] {
  return [qemuProgram(architecture), '-name', name, '-nodefaults', '-no-user-config', ...(filtered ? ['-sandbox', sandbox] : []), '-display', 'none', '-msg', 'timestamp=off'];
}

export function size({ memoryMiB, processors }: Pick<MachineSpec, 'memoryMiB' | 'processors'>): string[] {
  return ['-m', `${memoryMiB}M`, '-smp', `cpus=${processors},sockets=1,cores=${processors},threads=1`, '-rtc', 'base=utc'];
}

export const tscWord = (tscKhz: number | undefined): Pick<KernelWords, 'tscKhz'> => (tscKhz === undefined ? {} : { tscKhz });

export function bootArguments(architecture: Architecture, accelerator: 'kvm' | 'tcg', words: KernelWords): string[] {
  return ['-no-reboot', '-kernel', jailKernel, '-initrd', jailInitramfs, '-append', kernelCommandLine(architecture, accelerator, words)];
}

/** What every machine has: monitors, the agent's port, the console, entropy, a controller for disks. */
export function commonDevices(add: AddDescriptor): string[] {
  return [
    ...monitor('monitor', add({ kind: 'listen', name: 'm' })),
    ...monitor('passing', add({ kind: 'listen', name: 'p' })),
    '-chardev', `socket,id=agent,fd=${add({ kind: 'listen', name: agentSocketName })},server=on,wait=off`,
    '-device', 'virtio-serial-pci,id=serial,max_ports=2', '-device', `virtserialport,bus=serial.0,nr=1,chardev=agent,name=${agentPortName}`,
    '-chardev', `socket,id=console,fd=${add({ kind: 'console' })}`, '-serial', 'chardev:console',
    '-object', 'rng-builtin,id=rng', '-device', 'virtio-rng-pci,rng=rng',
    '-device', 'virtio-scsi-pci,id=scsi',
  ];
}

/** @param port where it is plugged in; without it where it fits */
export function cardArguments(add: AddDescriptor, tap: string, mac: string, port?: string): string[] {
  return ['-netdev', `tap,id=net,fd=${add({ kind: 'tap', name: tap })},vhost=off`, '-device', `virtio-net-pci,${port === undefined ? '' : `id=card,bus=${port},`}netdev=net,mac=${checkedMac(mac)},romfile=`];
}

/** A disk that is there from the start. */
export function diskArguments(add: AddDescriptor, disk: MachineDisk, place: Readonly<Record<string, unknown>> = {}): string[] {
  const { node, sets } = addDisk(disk, add);
  return [...sets, '-blockdev', JSON.stringify(node), '-device', JSON.stringify({ ...deviceArguments(disk), ...place })];
}

/** Descriptors of a disk and of all that lies below it, the arguments that make them sets, and the node that names these. */
export function addDisk(disk: MachineDisk, add: AddDescriptor): { readonly node: Readonly<Record<string, unknown>>; readonly sets: readonly string[] } {
  const top = add({ kind: disk.readOnly ? 'disk-ro' : 'disk-rw', path: disk.path });
  const below = (disk.backing ?? []).map(({ path }) => add({ kind: 'disk-ro', path }));
  return { node: driveNode(disk, top, below), sets: [top, ...below].flatMap((fd) => ['-add-fd', `fd=${fd},set=${fd}`]) };
}

/** In the order of a machine that starts from a template, whose scratch disk is there before all others; firmware boots the first of its own. */
function disksAtStart(spec: MachineSpec, facts: VmmFacts): readonly MachineDisk[] {
  const scratch = facts.scratch === null ? [] : [scratchDisk(facts.scratch)];
  const own = spec.disks.filter((disk) => disk.backend === undefined);
  return [...(facts.kernel === null ? [...own, ...scratch] : [...scratch, ...own]), ...(facts.seed === null ? [] : [facts.seed])];
}

export const scratchDisk = (path: string): MachineDisk => ({ serial: 'scratch', path, format: 'raw', readOnly: false });

/**
 * All that the translator knows, but for "fast" string instructions: it moves one byte by `rep movsb` in about the time it takes
 * for eight by `rep movsq`. Without the promise of fast ones the guest's kernel fills and copies memory two to five times as
 * quickly, and starts a process in two thirds of the time (docs/benchmarks.md). Programs that use them all the same run as ever.
 */
const translatedX86 = 'max,-erms,-fsrm';

export function platform(architecture: Architecture, accelerator: 'kvm' | 'tcg', memory = ''): string[] {
  const accel = accelerator === 'kvm' ? ['-accel', 'kvm'] : ['-accel', `tcg,tb-size=${translationCacheMiB}`];
  if (architecture === 'x86_64') {
    return ['-machine', `q35,usb=off,sata=off,smbus=off,hpet=off,vmport=off,graphics=off${memory}`, ...accel, '-cpu', accelerator === 'kvm' ? 'host' : translatedX86];
  }
  return ['-machine', `virt,usb=off,gic-version=${accelerator === 'kvm' ? 'host' : '2'}${memory}`, ...accel, '-cpu', accelerator === 'kvm' ? 'host' : 'cortex-a72'];
}

function monitor(id: string, fd: number): string[] {
  return ['-chardev', `socket,id=${id},fd=${fd},server=on,wait=off`, '-mon', `chardev=${id},mode=control`];
}

/** A comma in it would start another option. */
function checkedMac(mac: string): string {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) throw new RangeError(`'${mac}' is no MAC`);
  return mac;
}

