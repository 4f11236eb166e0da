/**
 * Addresses of machines, containers and services in 10.<subnet>.0.0/16, each with one owner (a record
 * key). An address given back is the last to be used again, so that what still remembers it (a client's
 * cache, a neighbour entry) does not meet somebody else.
 */
import { z } from 'zod';
import { StrataError, type Instance } from '#base';
import { recordsOf, type Compare, type Store, type Write } from '#store';

/** `endpoint`: machines and containers, 10.x.1–127; `service`: virtual addresses, 10.x.128–255. */
export type AddressRange = 'endpoint' | 'service';

export interface Addresses {
  /**
   * The owner's address, the same at each call.
   * @param record writes what the address is for in the same transaction: none is ever taken for nothing
   * @throws StrataError `pool.addressesExhausted`
   */
  allocate(range: AddressRange, owner: string, record?: (address: string) => readonly Write[]): Promise<string>;
  /**
   * Gives back the owner's address, in one transaction with writes such as the end of its record; idempotent.
   * @returns false where what is compared does not hold; then nothing was done
   */
  release(owner: string, record?: readonly Write[], compare?: readonly Compare[]): Promise<boolean>;
  ownerOf(address: string): Promise<string | undefined>;
  addressOf(owner: string): Promise<string | undefined>;
  list(): Promise<readonly { readonly address: string; readonly owner: string }[]>;
}

const addressSchema = z.strictObject({ owner: z.string().nullable().describe('null: given back, and remembered to be reused last') });
const holdingSchema = z.strictObject({ address: z.string(), range: z.enum(['endpoint', 'service']) });

const thirdByte = { endpoint: [1, 127], service: [128, 255] } as const;
const perNet = 254; // .0 and .255 are left out: some software takes them for network and broadcast
const attempts = 200;

/** `remember`: how many addresses given back are kept from reuse while others are free. */
export function openAddresses(store: Store, instance: Pick<Instance, 'subnet'>, remember = 256): Addresses {
  const addresses = recordsOf(store, 'address', addressSchema);
  const holdings = recordsOf(store, 'address-owner', holdingSchema);

  const addressAt = (range: AddressRange, index: number) => `10.${instance.subnet}.${thirdByte[range][0] + Math.floor(index / perNet)}.${1 + (index % perNet)}`;
  const countOf = (range: AddressRange) => (thirdByte[range][1] - thirdByte[range][0] + 1) * perNet;

  /** The lowest one nobody ever had, else the one given back longest ago. */
  async function choose(range: AddressRange): Promise<{ readonly address: string; readonly revision: number }> {
    const entries = await addresses.list();
    const known = new Set(entries.map((one) => one.id));
    for (let index = 0; index < countOf(range); index += 1) {
      const address = addressAt(range, index);
      if (!known.has(address)) return { address, revision: 0 };
    }
    const inRange = new Set(Array.from({ length: countOf(range) }, (_none, index) => addressAt(range, index)));
    const [oldest] = entries.filter((one) => one.value.owner === null && inRange.has(one.id)).toSorted((one, other) => one.revision - other.revision);
    if (oldest === undefined) throw new StrataError(`no address is left for ${range === 'service' ? 'a service' : 'a machine or container'}: all ${countOf(range)} are taken`, { code: 'pool.addressesExhausted', kind: 'exhausted', advice: 'remove what is no longer used' });
    return { address: oldest.id, revision: oldest.revision };
  }

  async function forgetOldest(): Promise<void> {
    const free = (await addresses.list()).filter((one) => one.value.owner === null).toSorted((one, other) => one.revision - other.revision);
    const extra = free.slice(0, Math.max(0, free.length - remember));
    // Somebody may take one meanwhile: the compare lets it be.
    for (const one of extra) await store.transact({ compare: [{ key: one.key, revision: one.revision }], writes: [{ delete: one.key }] });
  }

  return {
    async allocate(range, owner, record = () => []) {
      for (let attempt = 0; attempt < attempts; attempt += 1) {
        const held = await holdings.get(owner);
        if (held !== undefined) {
          const { range: heldRange, address } = held.value;
          if (heldRange !== range) throw new StrataError(`${owner} has the ${heldRange} address ${address} already`, { code: 'pool.addressRange', kind: 'conflict' });
          const result = await store.transact({ compare: [{ key: held.key, revision: held.revision }], writes: record(address) });
          if (result.committed) return address;
          continue;
        }
        const { address, revision } = await choose(range);
        const result = await store.transact({
          compare: [{ key: holdings.key(owner), absent: true }, revision === 0 ? { key: addresses.key(address), absent: true } : { key: addresses.key(address), revision }],
          writes: [addresses.putWrite(address, { owner }), holdings.putWrite(owner, { address, range }), ...record(address)],
        });
        if (result.committed) return address;
      }
      throw contention(`no address could be taken for ${owner}`);
    },
    async release(owner, record = [], compare = []) {
      for (let attempt = 0; attempt < attempts; attempt += 1) {
        const held = await holdings.get(owner);
        const result = await store.transact({
          compare: [held === undefined ? { key: holdings.key(owner), absent: true } : { key: held.key, revision: held.revision }, ...compare],
          writes: [...(held === undefined ? [] : [{ delete: held.key }, addresses.putWrite(held.value.address, { owner: null })]), ...record],
        });
        if (!result.committed && compare.some((one) => result.conflicts.includes(one.key))) return false;
        if (!result.committed) continue;
        if (held !== undefined) await forgetOldest();
        return true;
      }
      throw contention(`the address of ${owner} could not be given back`);
    },
    ownerOf: async (address) => (await addresses.get(address))?.value.owner ?? undefined,
    addressOf: async (owner) => (await holdings.get(owner))?.value.address,
    list: async () => (await addresses.list()).flatMap((one) => (one.value.owner === null ? [] : [{ address: one.id, owner: one.value.owner }])),
  };
}

function contention(what: string): StrataError {
  return new StrataError(`${what}: others were always faster`, { code: 'pool.addressContention', kind: 'unavailable' });
}
