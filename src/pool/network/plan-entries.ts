/**
 * Which route and neighbour entries must be made and removed so that each endpoint is reached behind its machine's
 * tap. Pure: wished and observed in, the smallest difference out; nothing changed gives nothing to do.
 */
import { macOfAddress } from './mac-of-address.ts';
import type { NetworkEndpoint } from './network.ts';

/** One address behind one interface. For a route `mac` is empty. */
export interface NetworkEntry {
  readonly address: string;
  readonly device: string;
  readonly mac: string;
}

export interface ObservedEntries {
  /** Taps of this instance that exist. */
  readonly taps: ReadonlySet<string>;
  readonly routes: readonly NetworkEntry[];
  readonly neighbours: readonly NetworkEntry[];
}

export interface EntriesPlan {
  readonly addRoutes: readonly NetworkEntry[];
  readonly removeRoutes: readonly NetworkEntry[];
  readonly addNeighbours: readonly NetworkEntry[];
  readonly removeNeighbours: readonly NetworkEntry[];
  /** Endpoints whose machine has no tap now; they get their entries when it has one. */
  readonly waiting: readonly string[];
}

/** @param tapOf interface name of a machine's tap */
export function planEntries(endpoints: readonly NetworkEndpoint[], tapOf: (machineId: string) => string, observed: ObservedEntries): EntriesPlan {
  const wished = endpoints.map(({ address, machineId }) => ({ address, device: tapOf(machineId), mac: macOfAddress(address) }));
  const there = wished.filter(({ device }) => observed.taps.has(device));
  const routes = there.map((entry) => ({ ...entry, mac: '' }));
  return {
    addRoutes: without(routes, observed.routes),
    removeRoutes: without(observed.routes, routes),
    addNeighbours: without(there, observed.neighbours),
    removeNeighbours: without(observed.neighbours, there),
    waiting: wished.filter(({ device }) => !observed.taps.has(device)).map(({ address }) => address),
  };
}

const keyOf = ({ address, device, mac }: NetworkEntry): string => `${address} ${device} ${mac}`;

function without(entries: readonly NetworkEntry[], others: readonly NetworkEntry[]): NetworkEntry[] {
  const known = new Set(others.map(keyOf));
  return entries.filter((entry) => !known.has(keyOf(entry)));
}
