/** What the parts of the QEMU driver share. Types only: all of them import it. */
import type { Architecture, Log } from '#base';
import type { MachinePoolPart } from '../pooled/open-machine-pool.ts';
import type { Starts } from '../vmm/start-alone.ts';
import type { VmmContext } from '../vmm/vmm-context.ts';
import type { PooledMachine } from './pooled/pooled-machine.ts';
import type { PooledShape } from './pooled/pooled-shape.ts';
import type { ReadyVmms } from './ready/ready-vmms.ts';
import type { Templates } from './templates/templates.ts';

export interface QemuGuestOs { readonly kernel: string; readonly initramfs: string; readonly version: string; readonly kernelRelease: string }

/** What a VMM is launched by. */
export interface LaunchContext extends VmmContext, Starts {
  readonly log: Log;
  readonly guestOs: (architecture: Architecture) => Promise<QemuGuestOs>;
  readonly accelerator: (architecture: Architecture) => Promise<'kvm' | 'tcg'>;
  readonly qemuVersion: () => Promise<string>;
  /** Of the host's time-stamp counter; undefined where it has none. */
  readonly tscKhz: () => Promise<number | undefined>;
  readonly templates: Templates | undefined;
  readonly pool: MachinePoolPart<PooledShape, PooledMachine> | undefined;
}

export interface QemuContext extends LaunchContext {
  /** Those of forks. */
  readonly readyVmms: ReadyVmms;
}
