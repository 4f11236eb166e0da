/** What a pooled machine's agent does before it stands still: all that a start will ask of it, so that its code is in memory, and translated where it is. */
import type { Duplex } from 'node:stream';
import { systemDice, waitUntil, type Clock, type Log } from '#base';
import { callUngreeted, type UngreetedOptions } from '../agent/open-agent-connection.ts';
import { guestIdentity } from '../guest-identity.ts';
import type { MachineSpec } from '../machine.ts';

/** It runs only while nobody else wants the processor. */
export const makingLimitMs = 120_000;
/** The second time everything is translated. */
const rehearsals = 3;

export async function rehearse({ clock, log }: { readonly clock: Clock; readonly log: Log }, spec: MachineSpec, line: Duplex, signal: AbortSignal): Promise<void> {
  const options = { clock, dice: systemDice, log, handshakeMs: makingLimitMs, answerMs: makingLimitMs, signal };
  await awaitDevices(spec, line, options);
  for (let time = 0; time < rehearsals; time += 1) {
    await callUngreeted(line, 'configure', guestIdentity(spec, clock, systemDice), options);
    await callUngreeted(line, 'hello', { nonce: Buffer.from(systemDice.bytes(16)).toString('hex') }, options);
  }
}

/** Its guest has its scratch disk and its card. */
export async function awaitDevices(spec: MachineSpec, line: Duplex, options: UngreetedOptions & { readonly signal: AbortSignal }): Promise<void> {
  if (spec.scratchMiB > 0) await callUngreeted(line, 'awaitDisks', { serials: ['scratch'], timeoutMs: makingLimitMs }, options);
  // A file that is always there: a refusal would end the line.
  const hasCard = async () => /^ *eth0:/m.test(Buffer.from((await callUngreeted(line, 'fileRead', { container: '', path: '/proc/net/dev', offset: 0, length: 4096 }, options)).content, 'base64').toString());
  if (spec.network !== null) await waitUntil(hasCard, { what: 'the guest has its card', limitMs: makingLimitMs, everyMs: 20, signal: options.signal });
}
