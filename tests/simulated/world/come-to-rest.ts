/** Waits until what is wished is there and nothing else; says what was not so where the limit passes. */
import { systemClock } from '#base';
import { alwaysFaults, restFaults } from './find-faults.ts';
import type { SimulatedHost } from './simulated-host.ts';

/** Of real time; a machine that hangs is killed only after three seconds of it. */
const limitMs = 20_000;

export async function comeToRest(host: SimulatedHost): Promise<void> {
  const end = systemClock.monotonic() + limitMs;
  for (;;) {
    const late = systemClock.monotonic() > end;
    // The whole look is dear, and while controllers work it tells what everybody knows.
    const faults = host.daemon.quiet || late ? await restFaults(host) : undefined;
    if (faults?.length === 0 && host.daemon.quiet) return;
    const never = alwaysFaults(host);
    if (never.length > 0) throw new Error(never.join('\n'));
    if (late) throw new Error(`it does not come to rest:\n${faults?.join('\n')}`);
    await systemClock.wait(15);
  }
}
