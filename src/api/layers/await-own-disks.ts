/** The disks a machine begins with: some are plugged in when its guest runs already, or are found by it a moment after it answered. */
import type { AgentConnection } from '#machines';

const limitMs = 3000;
const awaited = new WeakSet<AgentConnection>();

/** Before the first program that is run in the guest by that line, which may mount them. A disk that does not come holds it up once. */
export async function awaitOwnDisks(connection: AgentConnection, serials: readonly string[]): Promise<void> {
  if (serials.length === 0 || awaited.has(connection)) return;
  awaited.add(connection);
  await connection.call('awaitDisks', { serials, timeoutMs: limitMs }, { timeoutMs: limitMs * 2 }).catch(() => undefined); // the program will tell
}
