/** Services whose replicas go on from a copy of one that is ready, on machines in memory: the straight way, every way it fails, and daemons that die in the middle. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { StrataError } from '#base';
import { down, up, type AppWish } from './world/ask-app.ts';
import { comeToRest } from './world/come-to-rest.ts';
import { openSimulatedHost, type SimulatedHost } from './world/simulated-host.ts';

const clones = (replicas: number, more: Partial<AppWish> = {}): AppWish => ({ replicas, startByClones: 'true', ...more });

/** How each replica of the web service came to run. */
async function ways(host: SimulatedHost): Promise<string[]> {
  const all = await host.daemon.backend.containers.list();
  return all.filter((one) => one.service === 'web').toSorted((a, b) => a.index - b.index).map((one) => `${one.index} ${one.startedBy?.way ?? '-'} ${one.health}`);
}
async function whyOf(host: SimulatedHost, index: number): Promise<string> {
  return (await host.daemon.backend.containers.list()).find((one) => one.service === 'web' && one.index === index)?.startedBy?.why ?? '';
}
/** Guests have the containers that records give them, and no other. */
async function noStrays(host: SimulatedHost): Promise<void> {
  const all = await host.daemon.backend.containers.list();
  const inGuests = [...host.world.vmms.values()].filter((vmm) => vmm.exit === undefined).flatMap((vmm) => [...vmm.guest?.containers.keys() ?? []]);
  deepEqual(inGuests.toSorted(), all.map((one) => one.id).toSorted());
}
async function succeed(host: SimulatedHost, wish: AppWish): Promise<void> {
  const { status, error } = await up(host, wish);
  equal(status, 'succeeded', JSON.stringify(error));
  await comeToRest(host);
}
async function withHost(work: (host: SimulatedHost) => Promise<void>): Promise<void> {
  const host = await openSimulatedHost();
  try { await work(host); } finally { await host.close(); }
}
const snapshots = (host: SimulatedHost): number => [...host.world.snapshots.values()].reduce((sum, one) => sum + one.size, 0);

test('[V40] the first replica starts, the others go on from it, also those that come later; down leaves nothing', () => withHost(async (host) => {
  await succeed(host, clones(3));
  deepEqual(await ways(host), ['1 start healthy', '2 clone healthy', '3 clone healthy']);
  equal(snapshots(host), 1);
  await noStrays(host);
  const machines = [...host.world.vmms.values()].filter((vmm) => vmm.spec.name.startsWith('shop-web-'));
  deepEqual(machines.map((vmm) => `${vmm.spec.name} ${vmm.startedBy.way}`).toSorted(), ['shop-web-1 cold', 'shop-web-2 snapshot', 'shop-web-3 snapshot']);
  equal(new Set(machines.flatMap((vmm) => vmm.guest?.configured.map((one) => one.machineId) ?? [])).size, 3, 'each has an identity of its own');
  await succeed(host, clones(1));
  await succeed(host, clones(2));
  deepEqual(await ways(host), ['1 start healthy', '2 clone healthy']);
  equal((await down(host, { volumes: true })).status, 'succeeded');
  await comeToRest(host);
  deepEqual([host.world.vmms.size, snapshots(host), await ways(host)], [0, 0, []]);
  deepEqual((await host.daemon.layers.store.list('service-template/')).entries, []);
}));

test('[V41] another configuration drops the template; what is replaced in its machine starts as ever', () => withHost(async (host) => {
  await succeed(host, clones(2));
  await succeed(host, clones(2, { version: '2' }));
  deepEqual(await ways(host), ['1 start healthy', '2 start healthy']);
  match(await whyOf(host, 2), /its machine was there already/);
  equal(snapshots(host), 0);
  await succeed(host, clones(3, { version: '2' }));
  deepEqual(await ways(host), ['1 start healthy', '2 start healthy', '3 clone healthy']);
  await succeed(host, { replicas: 1, version: '2' }); // without clones: out of its machine again
  equal(snapshots(host), 0);
  await noStrays(host);
}));

test('[V42] where the command in a clone fails, or no copy can be made, the replica starts, and says why', () => withHost(async (host) => {
  await succeed(host, clones(2, { startByClones: 'false' }));
  deepEqual(await ways(host), ['1 start healthy', '2 start healthy']);
  match(await whyOf(host, 2), /the command says no/);
  await noStrays(host);
  await down(host, { volumes: true });
  await comeToRest(host);
  host.watch((name) => { if (name === 'machines.fake.beforeSnapshot') throw new StrataError('no room for a copy', { code: 'sim.failed', kind: 'unavailable' }); });
  await succeed(host, clones(2));
  deepEqual(await ways(host), ['1 start healthy', '2 start healthy']);
  match(await whyOf(host, 2), /no room for a copy/);
  host.watch((name) => { if (name === 'machines.fake.beforeClone') throw new StrataError('the copy is damaged', { code: 'sim.failed', kind: 'unavailable' }); });
  await down(host, { volumes: true });
  await comeToRest(host);
  await succeed(host, clones(2));
  deepEqual(await ways(host), ['1 start healthy', '2 start healthy']);
  match(await whyOf(host, 2), /the copy is damaged/);
  await noStrays(host);
}));

const places = [
  'template.take.before', 'template.take.recorded', 'machines.fake.beforeSnapshot', 'machines.fake.afterSnapshot', 'template.take.taken', 'template.take.after',
  'machine.create.after', 'machines.fake.beforeClone', 'machines.fake.afterClone', 'container.create.after', 'container.goOn.before', 'container.goOn.after',
];
for (const place of places) {
  test(`[V43] a daemon that dies, or a step that fails, at ${place} keeps no replica from coming up, and leaves nothing`, async () => {
    for (const how of ['die', 'fail'] as const) {
      await withHost(async (host) => {
        let met = false;
        host.watch((name, life) => {
          if (name !== place || met) return;
          met = true;
          if (how === 'die') life.end();
          else throw new StrataError(`it fails at ${name}`, { code: 'sim.failed', kind: 'unavailable' });
        });
        await up(host, clones(3)).catch((thrown: unknown) => { if (!host.daemon.life.ended) throw thrown; });
        if (host.daemon.life.ended) await host.start();
        ok(met, `${place} was not come to`);
        await succeed(host, clones(3));
        ok((await ways(host)).every((one) => one.endsWith(' healthy')), (await ways(host)).join());
        equal((await ways(host)).length, 3);
        await noStrays(host);
        equal((await down(host, { volumes: true })).status, 'succeeded');
        await comeToRest(host);
        deepEqual([host.world.vmms.size, snapshots(host)], [0, 0]);
      });
    }
  });
}
