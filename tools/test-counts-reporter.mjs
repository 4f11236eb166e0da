/**
 * A reporter of node:test for run-tests.mjs, one JSON object a line: which tests begin and end, why one failed, and at last the
 * counts of the file and how long it computed. Each at once: of a file that hangs there is no last line.
 */
import { readFileSync } from 'node:fs';

const linesOfReason = 12;
/** USER_HZ is 100 on every architecture of ours. */
const ticksPerSecond = 100;

export default async function* reportCounts(events) {
  for await (const { type, data } of events) {
    if (type === 'test:summary') yield line({ counts: { ...data.counts, processorSeconds: processorSeconds() } });
    if (type === 'test:dequeue') yield line({ began: data.name });
    if (type === 'test:pass' || type === 'test:fail') yield line({ ended: data.name });
    if (type !== 'test:fail') continue;
    const { type: kind, error } = data.details ?? {};
    // A suite fails where one of its tests does, and says no more than that. A hook of a file or suite that fails counts as no test's failure, here and in the runner's exit code.
    if (kind !== 'suite' || error?.failureType === 'hookFailed') yield line({ failure: { test: data.name, why: reasonOf(error), ofHook: kind !== 'test' } });
  }
}

const line = (value) => `${JSON.stringify(value)}\n`;

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
