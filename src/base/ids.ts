/**
 * Identifiers with a kind: a MachineId cannot be passed where a HostId is due. Ids, never names, stand
 * in paths, interface names and sockets; they are lower-case base32 so that no escaping is ever needed.
 */
import type { Dice } from './dice.ts';

export type Id<Kind extends string> = string & { readonly kind: Kind };

export type HostId = Id<'host'>;
export type MachineId = Id<'machine'>;
export type ContainerId = Id<'container'>;
export type AppId = Id<'app'>;
export type ServiceId = Id<'service'>;
export type VolumeId = Id<'volume'>;
export type OperationId = Id<'operation'>;
export type SnapshotId = Id<'snapshot'>;

const prefixes = {
  host: 'h', machine: 'm', container: 'c', app: 'a', service: 's', volume: 'v', operation: 'o', snapshot: 'k',
} as const;
export type IdKind = keyof typeof prefixes;

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** A new id such as `m` + 10 base32 characters (50 bits): short enough for an interface name of 15 bytes. */
export function newId<Kind extends IdKind>(kind: Kind, dice: Dice): Id<Kind> {
  const bytes = dice.bytes(10);
  let text: string = prefixes[kind];
  for (const byte of bytes) text += alphabet[byte & 31];
  return text as Id<Kind>;
}

/** Whether text has the form of an id of that kind; says nothing of its existence. */
export function isId<Kind extends IdKind>(kind: Kind, text: string): text is Id<Kind> {
  return text.length === 11 && text.startsWith(prefixes[kind]) && /^[a-z2-7]+$/.test(text);
}
