/** What the parts of the UML driver share. */
import { hostArchitecture, type Architecture, type Log } from '#base';
import type { MachinePoolPart } from '../pooled/open-machine-pool.ts';
import type { Starts } from '../vmm/start-alone.ts';
import type { VmmContext } from '../vmm/vmm-context.ts';
import type { PooledMachine } from './pooled/pooled-machine.ts';
import type { PooledShape } from './pooled/pooled-shape.ts';

export interface UmlContext extends VmmContext, Starts {
  readonly log: Log;
  readonly pool: MachinePoolPart<PooledShape, PooledMachine> | undefined;
  /** The guest OS whose kernel is a program of the host. */
  readonly guestOs: (architecture: Architecture) => Promise<{ readonly kernel: string; readonly initramfs: string; readonly version: string; readonly kernelRelease: string }>;
}

/** Debian's UML kernel runs on x86_64 only. */
export const umlArchitectures: readonly Architecture[] = hostArchitecture === 'x86_64' ? ['x86_64'] : [];
