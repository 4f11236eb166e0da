/**
 * What the agent does at once: a new host is answered, an address can be used again.
 * Runs alone: both are held to bounds of milliseconds.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitUntil } from '#base';
import { askWho, openNetworkBench, type NetworkBench } from '../testing/open-network-bench.ts';

const subnet = 224;
let net: NetworkBench;
before(async () => { net = await openNetworkBench('gonce', subnet); });
after(() => net?.close());

test('[G64] twenty hosts one after the other are each answered at once', async () => {
  const { guest } = net.bench;
  const times: number[] = [];
  for (let at = 0; at < 20; at += 1) {
    const begun = performance.now();
    await guest.connect();
    await guest.line.call('ping', {});
    times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  assert.ok((times[10] as number) < 250, `median ${times[10]} ms`);
});

test('[G72] a container that comes back has its address at once', async () => {
  const answers = (what: string) => waitUntil(async () => (await askWho(`10.${subnet}.1.2`)) === 'c2', { what, limitMs: 20_000 });
  const id = await net.start(2);
  await answers('it answers');
  await net.bench.guest.line.call('containerRemove', { id });
  const again = await net.start(2);
  const begun = performance.now();
  await answers('it answers again');
  assert.ok(performance.now() - begun < 3000, `${performance.now() - begun} ms`);
  await net.bench.guest.line.call('containerRemove', { id: again });
});
