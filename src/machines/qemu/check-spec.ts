/** What this engine cannot do is refused with the reason, before anything is made. Pure. */
import { StrataError, type Architecture } from '#base';
import { backendDisks, maxBackends } from '../backends/backend-places.ts';
import type { MachineSpec } from '../machine.ts';

const debianPackage = { x86_64: 'qemu-system-x86', aarch64: 'qemu-system-arm' } as const;

/** Tried with 64, 72, 80 and 96 MiB: with less than this the guest ends before it answers. aarch64 boots with the least of any machine. */
export const leastMemoryMiB: Partial<Record<Architecture, number>> = { x86_64: 80 };

/**
 * @param installed architectures whose QEMU is there
 * @throws StrataError `machine.engineCannot`, `machine.engineMissing`
 */
export function checkSpec(spec: MachineSpec, installed: readonly Architecture[]): void {
  if (!installed.includes(spec.architecture)) {
    throw new StrataError(`QEMU for ${spec.architecture} is not installed`, { code: 'machine.engineMissing', kind: 'unavailable', advice: `install ${debianPackage[spec.architecture]}` });
  }
  if (spec.boot.kind === 'disk' && spec.disks.length === 0) throw cannot(spec, 'boots its first disk, but has none');
  if (spec.boot.kind === 'disk' && spec.architecture !== 'x86_64') throw cannot(spec, `boots its own disk, which this engine does on x86_64 only`);
  if (spec.boot.kind === 'disk' && spec.boot.seed !== undefined) throw cannot(spec, 'has cloud-init data, which this engine cannot hand in yet');
  const least = leastMemoryMiB[spec.architecture] ?? 0;
  if (spec.boot.kind === 'guest-os' && spec.memoryMiB < least) throw cannot(spec, `has ${spec.memoryMiB} MiB of memory, and our guest OS for ${spec.architecture} needs at least ${least} MiB`);
  const served = backendDisks(spec.disks);
  if (served.length > 0 && spec.boot.kind === 'disk') throw cannot(spec, 'boots its own disk and has disks that back ends serve, which only our guest OS finds');
  if (served.length > maxBackends) throw cannot(spec, `has ${served.length} disks that back ends serve, and this engine takes ${maxBackends}`);
  const serials = spec.disks.map((disk) => disk.serial);
  if (new Set(serials).size !== serials.length) throw cannot(spec, 'has two disks of one serial');
  if (serials.includes('scratch')) throw cannot(spec, 'has a disk with the serial scratch, which is the name of its own');
}

function cannot(spec: MachineSpec, what: string): StrataError {
  return new StrataError(`machine ${spec.name} ${what}`, { code: 'machine.engineCannot', kind: 'refused', details: { engine: 'qemu', machine: spec.id } });
}
