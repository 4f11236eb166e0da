/** That an engine runs guests here is proved by one that ran; nothing is left of it, whatever became of it. */
import type { Architecture, Clock } from '#base';
import type { AcceleratorProof, RunningMachine } from '../engine.ts';
import type { MachineSpec } from '../machine.ts';
import { askForLife } from './ask-for-life.ts';

export interface ProofByGuest {
  readonly architecture: Architecture;
  readonly accelerator: AcceleratorProof['accelerator'];
  readonly clock: Clock;
  /** From its start to its agent's answer. */
  readonly limitMs: number;
  start(): Promise<RunningMachine>;
  /** While it runs still. */
  answered?(): Promise<void>;
  erase(): Promise<void>;
}

export async function proveByGuest({ architecture, accelerator, clock, limitMs, ...guest }: ProofByGuest, signal: AbortSignal | undefined): Promise<AcceleratorProof> {
  const said = (works: boolean, evidence: string): AcceleratorProof => ({ architecture, accelerator, works, evidence });
  const began = clock.monotonic();
  try {
    const machine = await guest.start();
    try {
      const answered = await askForLife(machine, limitMs - (clock.monotonic() - began), signal);
      const seconds = ((clock.monotonic() - began) / 1000).toFixed(1);
      if (!answered) return said(false, `no answer of a guest within ${limitMs / 1000} s`);
      await guest.answered?.();
      return said(true, `guest answered after ${seconds} s`);
    } finally {
      await machine.release();
    }
  } catch (error) {
    signal?.throwIfAborted();
    return said(false, (error as Error).message);
  } finally {
    await guest.erase();
  }
}

/** The smallest machine of the guest OS, without disk or card. It has no record; its id is fixed, so that one of a daemon that died is found. */
export function proofSpec(id: string, { engine, architecture, memoryMiB }: Pick<MachineSpec, 'engine' | 'architecture' | 'memoryMiB'>): MachineSpec {
  return { id, name: 'proof', architecture, engine, processors: 1, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: 0, disks: [], network: null, wanted: 'running', owner: null, createdAt: 0, generation: 1 };
}
