/**
 * Whether a guest's clock passes as ours does. A guest that boots beside busy neighbours can find a wrong speed for its
 * clock; a template with such a clock would hand it to every clone.
 */
import { StrataError, type Clock } from '#base';

/** One look at the guest's clock, between two looks at ours; all in milliseconds. */
export interface ClockReading { readonly asked: number; readonly guest: number; readonly answered: number }

const windowMs = 250;
/** The guest counts whole milliseconds and the kernel's clocks are steered a little. */
const slackMs = 5;
const slackRatio = 0.02;

/** The shortest and the longest that can have passed between the two looks; pure. */
export function clocksAgree(first: ClockReading, second: ClockReading): boolean {
  const passed = second.guest - first.guest;
  const least = second.asked - first.answered;
  const most = second.answered - first.asked;
  return passed >= least * (1 - slackRatio) - slackMs && passed <= most * (1 + slackRatio) + slackMs;
}

/** @param ask the guest's own uptime; @throws StrataError `machine.clockWrong` */
export async function measureClock(clock: Clock, ask: () => Promise<number>, signal: AbortSignal): Promise<void> {
  const look = async (): Promise<ClockReading> => {
    const asked = clock.monotonic();
    const guest = await ask();
    return { asked, guest, answered: clock.monotonic() };
  };
  const first = await look();
  await clock.wait(windowMs, signal);
  const second = await look();
  if (clocksAgree(first, second)) return;
  throw new StrataError(`the guest's clock went ${second.guest - first.guest} ms while ours went ${Math.round(second.answered - first.asked)} ms`, { code: 'machine.clockWrong', kind: 'unavailable' });
}
