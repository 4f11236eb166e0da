/** How a machine of UML ended. */
import type { VmmExit } from '../engine.ts';
import { readConsoleRing } from '../launcher/index.ts';
import type { VmmPlaces } from '../vmm/vmm-places.ts';

/** As a shell tells SIGABRT, which its kernel ends itself with. */
const aborted = 134;
const halted = /\breboot: (?:System halted|Power down)\s*$/;

/**
 * A guest that powers off ends UML with code 0; once in about eighty times UML 6.1 aborts in its own way out, after the guest's
 * kernel has halted: by then all is written and unmounted, and it ended well. What its console says is the guest's word and says
 * no more of it than that code would. Pure.
 */
export function endOfUml(exit: VmmExit, console: string): VmmExit {
  return exit.code === aborted && halted.test(console) ? { ...exit, code: 0 } : exit;
}

export async function readEndOfUml(places: VmmPlaces, exit: VmmExit): Promise<VmmExit> {
  if (exit.code !== aborted) return exit;
  const console = await readConsoleRing(places.runFolder).catch(() => Buffer.alloc(0)); // erased meanwhile
  return endOfUml(exit, console.toString('latin1'));
}
