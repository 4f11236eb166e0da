/** A reporter of node:test that writes nothing but the counts of a file and why its tests failed, as JSON, for run-tests.mjs. */
const linesOfReason = 12;

export default async function* reportCounts(events) {
  const failures = [];
  for await (const event of events) {
    // A suite fails where one of its tests does, and says no more than that.
    if (event.type === 'test:fail' && event.data.details?.type !== 'suite') failures.push({ test: event.data.name, why: reasonOf(event.data.details?.error) });
    if (event.type === 'test:summary') yield `${JSON.stringify({ ...event.data.counts, failures })}\n`;
  }
}

/** The error that the test threw is the cause of the runner's. */
function reasonOf(error) {
  const thrown = error?.cause ?? error;
  const text = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown ?? 'it does not say why');
  return text.split('\n').slice(0, linesOfReason).join('\n');
}
