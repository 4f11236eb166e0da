/**
 * Makes kernel, edge and gateway follow the records. One computation at a time; a wish that arrives while
 * one runs leads to exactly one more. The same code serves the controller (woken by records) and
 * whoever must know that a drain has taken effect (`sync`).
 */
import { isDeepStrictEqual } from 'node:util';
import { asStrataError, type Log } from '#base';
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
  readonly log: Log;
}

export interface TrafficSync {
  readonly controller: Controller;
  /** Resolves when balancers and names follow the records as they were when this was called. */
  sync(): Promise<void>;
  /**
   * As `sync`, but at once where what was last made is what the records ask for: then nobody waits for the look at whether
   * somebody else has changed the host meanwhile, which is taken all the same.
   */
  settle(): Promise<void>;
}

/** What others may do to the host's network unseen is mended after this long; edge and gateway are watched by their drivers. */
const lookAgainMs = 60_000;

export function openTraffic(deps: TrafficDeps): TrafficSync {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  /** What stands since the last round; undefined while one runs, and after one that failed. */
  let made: Traffic | undefined;

  async function once(): Promise<void> {
    made = undefined;
    const traffic = computeTraffic(await deps.observe());
    // Names and parking first: an address that begins to park must find the edge listening.
    await deps.edge.apply(traffic.edge);
    await deps.network.apply(traffic.network);
    await deps.gateway.apply(traffic.gateway);
    made = traffic;
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

  async function settle(): Promise<void> {
    if (!isDeepStrictEqual(computeTraffic(await deps.observe()), made)) return sync();
    sync().catch((error: unknown) => deps.log.warn({ error: asStrataError(error, 'traffic').message }, 'the host\'s traffic could not be looked at; it is in a moment'));
  }

  return {
    sync, settle,
    controller: {
      name: 'traffic',
      watches: ['app/', 'service/', 'container/', 'container-status/', 'machine/'].map((prefix) => ({ prefix, keysOf: () => ['all'] })),
      allKeys: async () => ['all'],
      reconcile: async () => { await sync(); return { againAfterMs: lookAgainMs }; },
    },
  };
}
