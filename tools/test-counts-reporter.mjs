/** A reporter of node:test that writes nothing but the counts of a file, as JSON, for run-tests.mjs to add up. */
export default async function* reportCounts(events) {
  for await (const event of events) {
    if (event.type === 'test:summary') yield `${JSON.stringify(event.data.counts)}\n`;
  }
}
