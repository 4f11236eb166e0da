/** A reporter of node:test that writes nothing but the counts of a file, why its tests failed and how long it computed, as JSON, for run-tests.mjs. */
import { readFileSync } from 'node:fs';

const linesOfReason = 12;
/** USER_HZ is 100 on every architecture of ours. */
const ticksPerSecond = 100;

export default async function* reportCounts(events) {
  const failures = [];
  for await (const event of events) {
    // A suite fails where one of its tests does, and says no more than that.
    if (event.type === 'test:fail' && event.data.details?.type !== 'suite') failures.push({ test: event.data.name, why: reasonOf(event.data.details?.error) });
    if (event.type === 'test:summary') yield `${JSON.stringify({ ...event.data.counts, failures, processorSeconds: processorSeconds() })}\n`;
  }
}

/** The error that the test threw is the cause of the runner's. */
function reasonOf(error) {
  const thrown = error?.cause ?? error;
  const text = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown ?? 'it does not say why');
  return text.split('\n').slice(0, linesOfReason).join('\n');
}

/** Of this process and of all it waited for: what nobody waited for, such as a VMM that its keeper looks after, is not in it. */
function processorSeconds() {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 15);
  return ticks.reduce((sum, one) => sum + Number(one), 0) / ticksPerSecond;
}
