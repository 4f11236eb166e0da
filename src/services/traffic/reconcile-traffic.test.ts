/** Rule V50: who waits for traffic, and who does not. Kernel, gateway and edge are counted, and held up by hand. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base';
import type { TrafficInput } from './compute-traffic.ts';
import { openTraffic, type TrafficDeps } from './reconcile-traffic.ts';

function open() {
  const input: { -readonly [K in keyof TrafficInput]: TrafficInput[K] } = { apps: [], services: [], containers: [], machines: [], gatewayAddress: '10.93.0.1', hostsPort: 8093, upstreamDns: [] };
  const looks: string[] = [];
  let now = 0;
  let pass: () => Promise<void> = async () => undefined;
  const traffic = openTraffic({
    observe: async () => ({ ...input }), clock: { ...systemClock, monotonic: () => now },
    edge: { apply: async () => { looks.push('edge'); } } as unknown as TrafficDeps['edge'],
    network: { apply: async () => { looks.push('network'); await pass(); } } as unknown as TrafficDeps['network'],
    gateway: { apply: async () => { looks.push('gateway'); return { reloaded: false }; } } as unknown as TrafficDeps['gateway'],
  });
  return { traffic, input, looks, through(work: () => Promise<void>) { pass = work; }, later(ms: number) { now += ms; } };
}

test('[V50] what stands is not made again, but looked at once a minute', async () => {
  const { traffic, input, looks, later } = open();
  await traffic.sync();
  const all = ['edge', 'network', 'gateway'];
  deepEqual(looks.splice(0), all);
  later(59_000);
  await traffic.sync();
  deepEqual(await traffic.controller.reconcile('all', AbortSignal.timeout(1000)), { againAfterMs: 1000 });
  deepEqual(looks.splice(0), []);
  input.machines = [{ id: 'm1', name: 'box', address: '10.93.1.1', project: null }];
  await traffic.sync();
  deepEqual(looks.splice(0), ['edge', 'network'], 'the gateway has nothing to do with it');
  later(1000);
  deepEqual(await traffic.controller.reconcile('all', AbortSignal.timeout(1000)), { againAfterMs: 60_000 });
  deepEqual(looks, all);
});

test('[V50] what the records have changed is waited for, and so is what is being made or has failed', async () => {
  const { traffic, input, looks, through } = open();
  await traffic.sync();
  through(() => Promise.reject(new Error('no room')));
  input.machines = [{ id: 'm1', name: 'box', address: '10.93.1.1', project: null }];
  await rejects(traffic.sync(), /no room/);
  await rejects(traffic.sync(), /no room/);
  const held = Promise.withResolvers<void>();
  through(() => held.promise);
  let done = 0;
  const waiting = [traffic.sync(), traffic.sync()].map((one) => one.then(() => { done += 1; }));
  await new Promise(setImmediate);
  equal(done, 0);
  held.resolve();
  await Promise.all(waiting);
  equal(looks.at(-1), 'network');
});
