/** The QEMU driver of the engine port: starts machines in jails, finds them again, removes their traces. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { architectures, hostArchitecture, runProcess, StrataError, systemClock, type Architecture, type Clock, type Instance, type Log } from '#base';
import type { AcceleratorProof, Engine, EngineCapabilities } from '../engine.ts';
import { ensureLauncher } from '../launcher/index.ts';
import { adoptMachine } from './adopt-machine.ts';
import { qemuProgram } from './command-line.ts';
import { eraseMachine } from './erase-machine.ts';
import { proveAccelerators } from './prove-accelerators.ts';
import { startMachine } from './start-machine.ts';

export interface QemuGuestOs { readonly kernel: string; readonly initramfs: string; readonly version: string; readonly kernelRelease: string }

export interface QemuEngineDeps {
  readonly instance: Instance;
  readonly log: Log;
  readonly guestOs: (architecture: Architecture) => Promise<QemuGuestOs>;
  /** Makes and removes taps; without it machines have no network. */
  readonly network?: { ensureTap(machineId: string, options?: { readonly ownerUid?: number }): Promise<string>; removeTap(machineId: string): Promise<void> };
  /** What was proved to work for an architecture, from the caller's cache; default is what `prove` found in this process, else TCG. */
  readonly accelerator?: (architecture: Architecture) => Promise<'kvm' | 'tcg'>;
  readonly clock?: Clock;
}

export interface QemuEngine extends Engine {
  /** `7.2.22`; with the host's boot id the key of cached proofs. */
  qemuVersion(): Promise<string>;
}

/** What the parts of the driver share. */
export interface QemuContext {
  readonly instance: Instance;
  readonly log: Log;
  readonly clock: Clock;
  readonly guestOs: QemuEngineDeps['guestOs'];
  readonly network: QemuEngineDeps['network'];
  readonly accelerator: (architecture: Architecture) => Promise<'kvm' | 'tcg'>;
  readonly launcher: () => Promise<string>;
}

/** One virtio-scsi controller has that many targets. */
const maxDisks = 255;

export function openQemuEngine(deps: QemuEngineDeps): QemuEngine {
  let proofs: readonly AcceleratorProof[] = [];
  let launcher: Promise<string> | undefined;
  let version: Promise<string> | undefined;
  const proved = (architecture: Architecture) => proofs.some((proof) => proof.accelerator === 'kvm' && proof.works && proof.architecture === architecture);
  const context: QemuContext = {
    instance: deps.instance, log: deps.log, clock: deps.clock ?? systemClock, guestOs: deps.guestOs, network: deps.network,
    accelerator: deps.accelerator ?? (async (architecture) => (proved(architecture) ? 'kvm' : 'tcg')),
    launcher: () => {
      launcher ??= prepare(deps.instance).catch((error: unknown) => { launcher = undefined; throw error; });
      return launcher;
    },
  };
  return {
    name: 'qemu',
    capabilities: async () => capabilities(),
    qemuVersion: () => {
      version ??= readVersion().catch((error: unknown) => { version = undefined; throw error; });
      return version;
    },
    prove: async (signal) => {
      proofs = await proveAccelerators(context, signal);
      return proofs;
    },
    start: (spec, signal) => startMachine(context, spec, signal),
    adopt: (spec) => adoptMachine(context, spec),
    erase: (id) => eraseMachine(context, id),
  };
}

function capabilities(): EngineCapabilities {
  const present = architectures.filter((architecture) => existsSync(qemuProgram(architecture)));
  return { name: 'qemu', architectures: present, hotplugDisks: true, maxDisks, maxProcessors: 64, ownDisks: present.includes('x86_64'), pause: false, snapshot: false };
}

async function prepare(instance: Instance): Promise<string> {
  for (const folder of [instance.runDir, instance.stateDir]) await mkdir(folder, { recursive: true, mode: 0o700 });
  return ensureLauncher(instance);
}

async function readVersion(): Promise<string> {
  const program = architectures.map(qemuProgram).find((path) => existsSync(path)) ?? qemuProgram(hostArchitecture);
  const { stdout } = await runProcess([program, '--version'], { timeoutMs: 20_000 });
  const version = /version (\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  if (version === undefined) throw new StrataError(`${program} does not say its version`, { code: 'machine.qemuVersion', kind: 'unavailable', advice: 'install qemu-system-x86 and qemu-system-arm' });
  return version;
}

