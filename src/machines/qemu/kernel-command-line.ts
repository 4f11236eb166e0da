/**
 * What the guest OS' kernel is told. Together these words spare about a third of the time until the agent answers (x86_64, TCG: 1.5 s
 * against 2.2; aarch64 1.4 against 1.9), most of it `cryptomgr.notests`; what each brings stands in docs/benchmarks.md. What costs
 * most is not here: a second processor adds 0.5 s of processor time. Pure.
 */
import type { Architecture } from '#base';

// loglevel=5: warnings reach the console, so that a guest that does not come up says why; `quiet` would hide them.
const everywhere = ['loglevel=5', 'panic=-1', 'random.trust_cpu=on', 'cryptomgr.notests', 'rcupdate.rcu_expedited=1'];

export interface KernelWords {
  /** The machine has a scratch disk: the agent waits for it, else it keeps layers and logs in memory. */
  readonly scratch: boolean;
  /** Disks that are there at the start; the agent looks for these alone, where the kernel would ask at 256 places (0.08 s). */
  readonly disks: number;
  /** The card is plugged in when the guest runs: the agent waits for it. */
  readonly cardLater: boolean;
  /** How fast the time-stamp counter runs that it sees, in kHz: a guess of its own is wrong on a busy host. */
  readonly tscKhz?: number;
  /** Further words for the agent. */
  readonly more?: readonly string[];
}

export function kernelCommandLine(architecture: Architecture, accelerator: 'kvm' | 'tcg', { scratch, disks, cardLater, tscKhz, more = [] }: KernelWords): string {
  const console = architecture === 'x86_64' ? 'console=ttyS0' : 'console=ttyAMA0';
  // Return trampolines protect nothing under translation: the guest's code never runs as it is.
  // On x86_64 with one processor the kernel takes the lock prefix off thousands of instructions, each a change of translated
  // code: 0.2 s of a boot's 2.0. Under translation a lock that nobody contends costs nothing.
  const emulated = accelerator === 'tcg' ? ['mitigations=off', 'nokaslr', ...(architecture === 'x86_64' ? ['noreplace-smp'] : [])] : [];
  const processor = architecture === 'x86_64' ? ['tsc=reliable', 'no_timer_check', 'i8042.noaux', 'i8042.nomux', 'i8042.nopnp', '8250.nr_uarts=1'] : [];
  return [console, ...everywhere, ...emulated, ...processor, ...(tscKhz === undefined || architecture !== 'x86_64' || accelerator !== 'tcg' ? [] : [`tsc_early_khz=${tscKhz}`]), `strata.disks=${disks}`, ...(scratch ? ['strata.scratch=disk'] : []), ...(cardLater ? ['strata.card=later'] : []), ...more].join(' ');
}
