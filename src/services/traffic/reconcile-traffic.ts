/**
 * Makes kernel, edge and gateway follow the records. One computation at a time; a wish that arrives while
 * one runs leads to exactly one more. The same code serves the controller (woken by records) and
 * whoever must know that a drain has taken effect (`sync`).
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '#base';
import type { Controller } from '#reconcile';
import type { HostNetwork } from '#pool';
import type { Edge } from '../edge/index.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { computeTraffic, type Traffic, type TrafficInput } from './compute-traffic.ts';

export interface TrafficDeps {
  observe(): Promise<TrafficInput>;
  readonly network: HostNetwork;
  readonly gateway: Gateway;
  readonly edge: Edge;
  readonly clock: Clock;
}

export interface TrafficSync {
  readonly controller: Controller;
  /** Resolves when balancers and names follow the records as they were when this was called; what stands is not made again. */
  sync(): Promise<void>;
}

/** What others may do to the host's network unseen is mended after this long; edge and gateway are watched by their drivers. */
const lookAgainMs = 60_000;

/** Records come in bursts, as an app's services do when it is brought up: one round for all, and one reload of the gateway. */
const burstMs = 20;

export function openTraffic(deps: TrafficDeps): TrafficSync {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  /** What stands; a part that is being made, or could not be, is missing. */
  let made: Partial<Traffic> = {};
  let lookedAt = Number.NEGATIVE_INFINITY;
  const untilLookMs = () => Math.max(0, lookedAt + lookAgainMs - deps.clock.monotonic());

  async function make<K extends keyof Traffic>(part: K, wish: Traffic[K], apply: (wish: Traffic[K]) => Promise<unknown>, anew: boolean): Promise<void> {
    if (!anew && isDeepStrictEqual(wish, made[part])) return; // each look costs a program's run, and containers that start say much
    const { [part]: _, ...others } = made;
    made = others as Partial<Traffic>;
    await apply(wish);
    made = { ...made, [part]: wish };
  }

  async function once(): Promise<void> {
    const anew = untilLookMs() === 0;
    const traffic = computeTraffic(await deps.observe());
    // Names and parking first: an address that begins to park must find the edge listening.
    await make('edge', traffic.edge, (wish) => deps.edge.apply(wish), anew);
    await make('network', traffic.network, (wish) => deps.network.apply(wish), anew);
    await make('gateway', traffic.gateway, (wish) => deps.gateway.apply(wish), anew);
    if (anew) lookedAt = deps.clock.monotonic();
  }

  function sync(): Promise<void> {
    if (running === undefined) {
      running = once().finally(() => { running = undefined; });
      return running;
    }
    // What runs may have read the records too early for this caller; one more round serves all who wait.
    next ??= running.catch(() => undefined).then(() => { next = undefined; return sync(); });
    return next;
  }

  return {
    sync,
    controller: {
      name: 'traffic',
      watches: ['app/', 'service/', 'container/', 'container-status/', 'machine/'].map((prefix) => ({ prefix, keysOf: () => ['all'] })),
      allKeys: async () => ['all'],
      reconcile: async (_key, signal) => { await deps.clock.wait(burstMs, signal); await sync(); return { againAfterMs: Math.max(1000, untilLookMs()) }; },
    },
  };
}
