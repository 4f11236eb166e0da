/**
 * That KVM ran a guest, remembered for this boot of the host and this version of QEMU, so that a daemon that starts
 * later, of whatever instance, uses it without proving it again. Without a record machines run under TCG, which always works.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { architectures, atomicWrite, hostBootId, type Architecture, type Instance } from '#base';
import type { AcceleratorProof } from '../engine.ts';

const kvmRecordSchema = z.strictObject({ bootId: z.string(), version: z.string(), architectures: z.array(z.enum(architectures)) });

const recordPath = (instance: Instance): string => join(instance.cacheDir, 'qemu-kvm.json');

export async function recordKvm(instance: Instance, version: string, proofs: readonly AcceleratorProof[]): Promise<void> {
  const proved = proofs.filter((proof) => proof.accelerator === 'kvm' && proof.works).map((proof) => proof.architecture);
  await atomicWrite(recordPath(instance), JSON.stringify({ bootId: hostBootId(), version, architectures: proved }));
}

export async function isKvmProved(instance: Instance, version: string, architecture: Architecture): Promise<boolean> {
  try {
    const record = kvmRecordSchema.parse(JSON.parse(await readFile(recordPath(instance), 'utf8')));
    return record.bootId === hostBootId() && record.version === version && record.architectures.includes(architecture);
  } catch {
    return false; // none yet, or damaged: then nothing is proved
  }
}
