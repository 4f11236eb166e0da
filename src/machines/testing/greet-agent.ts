/**
 * For tests: the agent of a machine, greeted as sessions do it. A line that stays silent is opened anew, for one may:
 * QEMU holds a guest's words back where it lost the host before while writing (rule M68).
 */
import { silentLog, StrataError, systemClock, systemDice } from '#base';
import { openAgentConnection, type OpenedAgentConnection } from '../agent/open-agent-connection.ts';
import type { RunningMachine } from '../engine.ts';
import { firstWordMs } from '../machine-session.ts';

export type { OpenedAgentConnection };

/** @throws StrataError `agent.timeout` after about `limitMs`; what else goes wrong at once */
export async function greetAgent(machine: RunningMachine, limitMs = 90_000): Promise<OpenedAgentConnection> {
  const until = systemClock.monotonic() + limitMs;
  for (let handshakeMs = firstWordMs.first; ; handshakeMs = Math.min(handshakeMs * 2, firstWordMs.longest)) {
    try {
      return await openAgentConnection(await machine.openAgentLine(), { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs });
    } catch (thrown) {
      if (!(thrown instanceof StrataError) || thrown.code !== 'agent.timeout' || systemClock.monotonic() > until) throw thrown;
    }
  }
}
