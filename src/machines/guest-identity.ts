/** What makes a guest this machine and no other: its name, its id, its card's MAC, the time, and random numbers that no other guest has. */
import { createHash } from 'node:crypto';
import type { Clock, Dice } from '#base';
import type { AgentCalls } from '#guest-protocol';
import type { MachineSpec } from './machine.ts';

/** Machine ids inside guests: 32 hex digits, a function of the machine's id, so that they survive a reboot and differ between clones. */
export const guestMachineId = (id: string): string => createHash('sha256').update(`strata machine ${id}`).digest('hex').slice(0, 32);

/** Fresh at every call: never say the same entropy twice. */
export function guestIdentity(spec: Pick<MachineSpec, 'id' | 'name' | 'network'>, clock: Clock, dice: Dice): AgentCalls['configure']['params'] {
  return { hostname: spec.name, timeMs: clock.now(), entropy: Buffer.from(dice.bytes(64)).toString('base64'), machineId: guestMachineId(spec.id), ...(spec.network === null ? {} : { mac: spec.network.mac }) };
}
