/** Waits until what is wished is there and nothing else; says what was not so where the limit passes. */
import { systemClock } from '#base';
import { alwaysFaults, restFaults } from './find-faults.ts';
import type { SimulatedHost } from './simulated-host.ts';

/** Of real time; a machine that hangs is killed only after three seconds of it. */
const limitMs = 20_000;

export async function comeToRest(host: SimulatedHost): Promise<void> {
  const end = systemClock.monotonic() + limitMs;
  for (;;) {
    const faults = await restFaults(host);
    if (faults.length === 0 && host.daemon.quiet) return;
    const never = alwaysFaults(host);
    if (never.length > 0) throw new Error(never.join('\n'));
    if (systemClock.monotonic() > end) throw new Error(`it does not come to rest:\n${faults.join('\n')}`);
    await systemClock.wait(15);
  }
}
