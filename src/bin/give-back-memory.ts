/**
 * Gives memory back after work: V8 collects only while it allocates, so a daemon that built images and then rests would
 * keep all it once needed. One full collection when a busy time is over; none while there is work, none twice.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const lookEveryMs = 10_000;
/** Processor time since the last collection that makes another worth while. */
const workMs = 2000;
/** Processor time within one look that still counts as rest. */
const restMs = 300;

type Collect = (options: { readonly type: 'major'; readonly flavor: 'last-resort' }) => void;

/** @returns what ends the watch */
export function giveBackMemory(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  let collectedAt = 0;
  let seenAt = processorMs();
  const timer = setInterval(() => {
    const now = processorMs();
    const rests = now - seenAt < restMs;
    seenAt = now;
    if (!rests || now - collectedAt < workMs) return;
    collect({ type: 'major', flavor: 'last-resort' });
    collectedAt = processorMs();
    seenAt = collectedAt;
  }, lookEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
