/** What the guest OS' kernel is told. Tuned for a short start; each choice was measured. Pure. */
import type { Architecture } from '#base';

// loglevel=5: warnings reach the console, so that a guest that does not come up says why; `quiet` would hide them.
const everywhere = ['loglevel=5', 'panic=-1', 'random.trust_cpu=on', 'cryptomgr.notests', 'rcupdate.rcu_expedited=1'];

/** @param scratch whether the machine has a scratch disk: the agent waits for it, else it keeps layers and logs in memory */
export function kernelCommandLine(architecture: Architecture, accelerator: 'kvm' | 'tcg', scratch: boolean): string {
  const console = architecture === 'x86_64' ? 'console=ttyS0' : 'console=ttyAMA0';
  // Return trampolines cost much under translation and protect nothing there: the guest's code never runs as it is.
  const emulated = accelerator === 'tcg' ? ['mitigations=off', 'nokaslr'] : [];
  const processor = architecture === 'x86_64' ? ['tsc=reliable', 'no_timer_check', 'i8042.noaux', 'i8042.nomux', 'i8042.nopnp', '8250.nr_uarts=1'] : [];
  return [console, ...everywhere, ...emulated, ...processor, ...(scratch ? ['strata.scratch=disk'] : [])].join(' ');
}
