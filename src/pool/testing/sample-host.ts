/** A host of 4 processors, 8 GiB and 100 GiB that runs x86_64 machines. */
import type { Host } from '../host.ts';

export function sampleHost(id: string, change: Partial<Host> = {}): Host {
  return {
    id, name: `${id}-name`, architecture: 'x86_64', state: 'ready', kernel: '6.1', bootId: 'boot', bootedAt: 0,
    processors: { model: 'x', count: 4, load1: 0 }, memory: { totalMiB: 8192, availableMiB: 8000 }, disk: { path: '/var/lib/strata', totalBytes: 100 * 1024 ** 3, freeBytes: 80 * 1024 ** 3 },
    proofs: [{ architecture: 'x86_64', engine: 'qemu', accelerator: 'tcg', works: true, evidence: 'a guest answered' }],
    promised: { machines: 0, processors: 0, memoryMiB: 0, diskBytes: 0 }, observedAt: 0, ...change,
  };
}
