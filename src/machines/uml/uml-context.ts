/** What the parts of the UML driver share. */
import { hostArchitecture, type Architecture } from '#base';
import type { VmmContext } from '../vmm/vmm-context.ts';

export interface UmlContext extends VmmContext {
  /** The guest OS whose kernel is a program of the host. */
  readonly guestOs: (architecture: Architecture) => Promise<{ readonly kernel: string; readonly initramfs: string; readonly kernelRelease: string }>;
}

/** Debian's UML kernel runs on x86_64 only. */
export const umlArchitectures: readonly Architecture[] = hostArchitecture === 'x86_64' ? ['x86_64'] : [];
