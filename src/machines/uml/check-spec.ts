/** What this engine cannot do is refused with the reason, before anything is made. Pure. */
import { StrataError, type Architecture } from '#base';
import { backendDisks, maxBackends } from '../backends/backend-places.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { maxUbdDisks } from './disk-names.ts';

/** The scratch disk is one of them. */
export const maxDisks = maxUbdDisks - 1;

/** @throws StrataError `machine.engineCannot` */
export function checkSpec(spec: MachineSpec, architectures: readonly Architecture[]): void {
  if (!architectures.includes(spec.architecture)) throw cannot(spec, `is ${spec.architecture}, and UML runs ${architectures.length === 0 ? 'on x86_64 hosts only' : `${architectures.join(' and ')} only`}`);
  if (spec.boot.kind !== 'guest-os') throw cannot(spec, 'boots its own disk, and UML has no firmware');
  if (spec.processors > 1) throw cannot(spec, `wants ${spec.processors} processors, and UML has one`);
  if (spec.disks.length > maxDisks) throw cannot(spec, `has ${spec.disks.length} disks, and UML takes ${maxDisks}`);
  for (const disk of spec.disks) if (disk.backend === undefined) checkDisk(spec.name, disk);
  const served = backendDisks(spec.disks).length;
  if (served > maxBackends) throw cannot(spec, `has ${served} disks that back ends serve, and UML takes ${maxBackends}`);
  const serials = spec.disks.map((disk) => disk.serial);
  if (new Set(serials).size !== serials.length) throw cannot(spec, 'has two disks of one serial');
  if (serials.includes('scratch')) throw cannot(spec, 'has a disk with the serial scratch, which is the name of its own');
}

/** @throws StrataError `machine.engineCannot` */
export function checkDisk(machineName: string, disk: MachineDisk): void {
  if (disk.format !== 'raw') throw new StrataError(`machine ${machineName} cannot take the disk ${disk.serial}: it is ${disk.format}, and UML reads raw disks only`, { code: 'machine.engineCannot', kind: 'refused', advice: 'use the engine qemu', details: { engine: 'uml' } });
}

function cannot(spec: MachineSpec, what: string): StrataError {
  return new StrataError(`machine ${spec.name} ${what}`, { code: 'machine.engineCannot', kind: 'refused', advice: 'use the engine qemu', details: { engine: 'uml', machine: spec.id } });
}
