/** For tests: what makes a guest itself, and must be in no other. */

import type { RunningMachine } from '../engine.ts';
import { guestMachineId } from '../guest-identity.ts';
import { greetAgent } from './greet-agent.ts';
import { runInGuest } from './run-in-guest.ts';

/** By name: boot id, uuid, random bytes, machine id, host name, and the card's address, where it has (or is to get) a card. */
export type GuestTraits = Readonly<Record<string, string>>;

const script = `cat /proc/sys/kernel/random/uuid; head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n'; echo; cat /etc/machine-id; cat /proc/sys/kernel/hostname`;
/** The card is plugged in while the guest runs already. */
const cardScript = 'i=0; while [ $i -lt 400 ] && [ ! -e /sys/class/net/eth0/address ]; do sleep 0.05; i=$((i+1)); done; cat /sys/class/net/eth0/address';

/** Opens the agent's line, greets, asks, and lets go of the line. Its machine id is the one that belongs to it. */
export async function traitsOf(machine: RunningMachine, card: boolean): Promise<GuestTraits> {
  const agent = await greetAgent(machine, 60_000);
  try {
    const { code, out } = await runInGuest(agent, card ? `${script}; ${cardScript}` : script);
    const [uuid, random, machineId, name, mac] = out.trim().split('\n');
    const traits = { bootId: agent.hello.bootId, uuid, random, machineId, name, ...(card ? { mac } : {}) };
    if (code !== 0 || Object.values(traits).some((one) => one === undefined || one === '')) throw new Error(`the guest does not say who it is: ${code}, ${JSON.stringify(traits)}, ${out}`);
    if (machineId !== guestMachineId(machine.id)) throw new Error(`machine ${machine.id} calls itself ${machineId}`);
    return traits as GuestTraits;
  } finally {
    agent.close();
  }
}

/** Which of them two or more have in common. */
export function sharedTraits(all: readonly GuestTraits[]): readonly string[] {
  const names = new Set(all.flatMap((one) => Object.keys(one)));
  return [...names].filter((name) => new Set(all.map((one) => one[name])).size !== all.length);
}
