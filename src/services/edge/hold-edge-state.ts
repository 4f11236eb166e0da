/**
 * The edge's sockets follow its state with the smallest change: what stays the same is not touched, so a name or a
 * target can change while hundreds wait. What cannot be listened on is remembered and tried again.
 */
import type { EdgeStats } from './edge-messages.ts';
import type { EdgeState } from './edge-state.ts';
import { relayDatagrams, type DatagramCounters, type DatagramPlace, type DatagramRelay } from './relay-datagrams.ts';
import { parkConnections, type Parking, type ParkingCounters, type ParkingPlace } from './park-connections.ts';
import { serveNames, type NameService } from './serve-names.ts';

export interface EdgeHolder {
  /** Returns when listening sockets are as the state says, or have their problem noted. */
  apply(state: EdgeState): Promise<void>;
  stats(): EdgeStats;
  close(): Promise<void>;
}

const retryMs = 1000;

/** @param namePort port for DNS on the gateway address */
export function holdEdgeState(namePort: number): EdgeHolder {
  let state: EdgeState = { gateway: '', names: {}, domains: {}, parking: [], upstream: [] };
  let names: { readonly gateway: string; readonly service: NameService } | undefined;
  const places = new Map<string, { place: ParkingPlace; readonly gateway: string; readonly parking: Parking; readonly counters: ParkingCounters }>();
  const relays = new Map<string, { place: DatagramPlace; readonly relay: DatagramRelay }>();
  const datagrams: DatagramCounters = { conversations: 0, relayed: 0, dropped: 0 };
  const gone: ParkingCounters = { held: 0, forwarded: 0, timedOut: 0, refused: 0, wakes: 0 };
  const nameCounters = { answered: 0, forwarded: 0, failed: 0 };
  const problems = new Map<string, string>();
  let retry: NodeJS.Timeout | undefined;
  let tail: Promise<void> = Promise.resolve();

  async function follow(): Promise<void> {
    problems.clear();
    await followNames();
    const wanted = new Map(state.parking.map((place) => [place.id, place]));
    for (const [id, held] of places) {
      const next = wanted.get(id);
      if (next === undefined || next.port !== held.place.port || state.gateway !== held.gateway) await leave(id);
    }
    for (const place of wanted.values()) await followPlace(place);
    await followDatagrams(new Map((state.datagrams ?? []).map((place) => [place.id, place])));
    clearTimeout(retry);
    if (problems.size > 0) retry = setTimeout(() => void inTurn(), retryMs);
  }

  async function followNames(): Promise<void> {
    if (names?.gateway === state.gateway) return;
    await names?.service.close();
    names = undefined;
    if (state.gateway === '') return;
    try {
      names = { gateway: state.gateway, service: await serveNames(state.gateway, namePort, () => state, nameCounters) };
    } catch (error) {
      problems.set(`names ${state.gateway}:${namePort}`, (error as Error).message);
    }
  }

  async function followPlace(place: ParkingPlace): Promise<void> {
    const held = places.get(place.id);
    if (held !== undefined) {
      held.place = place;
      held.parking.change(place);
      return;
    }
    const counters: ParkingCounters = { held: 0, forwarded: 0, timedOut: 0, refused: 0, wakes: 0 };
    try {
      // The gateway address is this instance's alone; loopback would be shared with other instances on the host.
      places.set(place.id, { place, gateway: state.gateway, counters, parking: await parkConnections(place, [state.gateway], counters) });
    } catch (error) {
      problems.set(`parking ${place.id} on ${place.port}`, (error as Error).message);
    }
  }

  async function followDatagrams(wanted: ReadonlyMap<string, DatagramPlace>): Promise<void> {
    for (const [id, { place, relay }] of relays) {
      const next = wanted.get(id);
      if (next !== undefined && next.port === place.port && next.address === place.address) continue;
      relays.delete(id);
      await relay.close();
    }
    for (const place of wanted.values()) {
      const held = relays.get(place.id);
      if (held !== undefined) {
        held.place = place;
        held.relay.change(place);
        continue;
      }
      try {
        relays.set(place.id, { place, relay: await relayDatagrams(place, datagrams) });
      } catch (error) {
        problems.set(`UDP port ${place.port} on ${place.address}`, (error as Error).message);
      }
    }
  }

  async function leave(id: string): Promise<void> {
    const held = places.get(id);
    if (held === undefined) return;
    places.delete(id);
    await held.parking.close();
    for (const key of ['forwarded', 'timedOut', 'refused'] as const) gone[key] += held.counters[key];
  }

  /** One change at a time. */
  function inTurn(): Promise<void> {
    tail = tail.then(follow);
    return tail;
  }

  return {
    apply(next) { state = next; return inTurn(); },
    stats() {
      const all = [gone, ...[...places.values()].map(({ counters }) => counters)];
      const sum = (key: 'held' | 'forwarded' | 'timedOut' | 'refused') => all.reduce((total, one) => total + one[key], 0);
      return {
        pid: process.pid, held: sum('held'), forwarded: sum('forwarded'), timedOut: sum('timedOut'), refused: sum('refused'),
        wakes: Object.fromEntries([...places].map(([id, { counters }]) => [id, counters.wakes])), names: { ...nameCounters }, datagrams: { ...datagrams },
        problems: [...problems].map(([what, why]) => `${what}: ${why}`),
      };
    },
    async close() {
      clearTimeout(retry);
      await tail;
      clearTimeout(retry);
      await names?.service.close();
      for (const id of [...places.keys()]) await leave(id);
      await followDatagrams(new Map());
    },
  };
}
