/** Rule V50: who waits for traffic, and who does not. Kernel, gateway and edge are counted, and held up by hand. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#base';
import type { TrafficInput } from './compute-traffic.ts';
import { openTraffic, type TrafficDeps } from './reconcile-traffic.ts';

function open() {
  const input: { -readonly [K in keyof TrafficInput]: TrafficInput[K] } = { apps: [], services: [], containers: [], machines: [], gatewayAddress: '10.93.0.1', hostsPort: 8093, upstreamDns: [] };
  const looks: string[] = [];
  let pass: () => Promise<void> = async () => undefined;
  const traffic = openTraffic({
    observe: async () => ({ ...input }), log: silentLog,
    edge: { apply: async () => { looks.push('edge'); } } as unknown as TrafficDeps['edge'],
    network: { apply: async () => { looks.push('network'); await pass(); } } as unknown as TrafficDeps['network'],
    gateway: { apply: async () => { looks.push('gateway'); return { reloaded: false }; } } as unknown as TrafficDeps['gateway'],
  });
  return { traffic, input, looks, through(work: () => Promise<void>) { pass = work; } };
}

test('[V50] what stands is not waited for, and looked at all the same', async () => {
  const { traffic, looks, through } = open();
  await traffic.settle();
  deepEqual(looks, ['edge', 'network', 'gateway']);
  const held = Promise.withResolvers<void>();
  through(() => held.promise);
  await traffic.settle(); // ends although the look cannot
  held.resolve();
  await traffic.sync();
  deepEqual(looks.slice(3, 6), ['edge', 'network', 'gateway']);
});

test('[V50] what the records have changed is waited for, and so is what is being made or has failed', async () => {
  const { traffic, input, looks, through } = open();
  await traffic.settle();
  through(() => Promise.reject(new Error('no room')));
  input.machines = [{ id: 'm1', name: 'box', address: '10.93.1.1', project: null }];
  await rejects(traffic.settle(), /no room/);
  await rejects(traffic.settle(), /no room/);
  const held = Promise.withResolvers<void>();
  through(() => held.promise);
  let done = 0;
  const waiting = [traffic.settle(), traffic.settle()].map((one) => one.then(() => { done += 1; }));
  await new Promise(setImmediate);
  equal(done, 0);
  held.resolve();
  await Promise.all(waiting);
  equal(looks.at(-1), 'gateway');
});
