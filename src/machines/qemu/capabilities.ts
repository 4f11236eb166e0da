/** What this engine can do on this host, and which QEMU it has here. */
import { hostArchitecture, runProcess, StrataError } from '#base';
import type { EngineCapabilities } from '../engine.ts';
import { leastMemoryMiB } from './check-spec.ts';
import { qemuProgram } from './command-line.ts';
import { installedArchitectures } from './installed-architectures.ts';

/** One virtio-scsi controller has that many targets. */
const maxDisks = 255;

/** @param version of QEMU, where it is installed */
export function capabilities(version: string | undefined): EngineCapabilities {
  const present = installedArchitectures();
  return {
    name: 'qemu', architectures: present, hotplugDisks: true, maxDisks, maxProcessors: 64, leastMemoryMiB, ownDisks: present.includes('x86_64'), pause: true, suspend: true, snapshot: true,
    ...(version === undefined ? {} : { version: `qemu ${version}` }),
  };
}

/** @throws StrataError `machine.qemuVersion` */
export async function readVersion(): Promise<string> {
  const program = qemuProgram(installedArchitectures()[0] ?? hostArchitecture);
  const { stdout } = await runProcess([program, '--version'], { timeoutMs: 20_000 });
  const version = /version (\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  if (version === undefined) throw new StrataError(`${program} does not say its version`, { code: 'machine.qemuVersion', kind: 'unavailable', advice: 'install qemu-system-x86 and qemu-system-arm' });
  return version;
}
