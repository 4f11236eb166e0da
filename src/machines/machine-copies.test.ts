/** Snapshots, restores and clones as upper layers ask for them, on the engine in memory. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { armFailpoints, waitUntil } from '#base';
import type { MachineSpec } from './machine.ts';
import { machineTurns } from './machine-turns.ts';
import { openTestHost, statusOf, testMachine, type TestDaemon, type TestHost } from './testing/test-daemon.ts';

let host: TestHost;
let daemon: TestDaemon;
before(async () => { host = await openTestHost(); daemon = host.start(); });
after(async () => { armFailpoints(''); await daemon.end(); await host.close(); });

const disk = { serial: 'data', path: '/disks/data', format: 'raw', readOnly: false } as const;
const kept = { container: '', path: '/run/kept' };
const wish = (id: string, memory = true, passing = false) => ({ id, name: id, memory, passing });

async function running(changes: Partial<MachineSpec> = {}): Promise<MachineSpec> {
  const spec = testMachine(changes);
  await daemon.specs.put(spec.id, spec);
  await statusOf(daemon, spec.id, 'running');
  return spec;
}
const say = async (id: string, text: string) => (await daemon.machines.agent(id)).call('fileWrite', { ...kept, content: Buffer.from(text).toString('base64'), mode: 0o600, append: false });
const told = async (id: string) => Buffer.from((await (await daemon.machines.agent(id)).call('fileRead', { ...kept, offset: 0, length: 100 })).content, 'base64').toString();

test('[M35] a machine that runs is copied as it is, its guest\'s clock is right after it, and a restore brings it back and lets it go on', async () => {
  const spec = await running();
  await say(spec.id, 'first');
  const configured = host.world.vmms.get(spec.id)?.guest?.configured.length ?? 0;
  await daemon.copies.take(spec.id, wish('k1'));
  await daemon.copies.take(spec.id, wish('k1'));
  await waitUntil(() => (host.world.vmms.get(spec.id)?.guest?.configured.length ?? 0) > configured, { what: 'its clock is set', limitMs: 2000 });
  await say(spec.id, 'second');
  const before = await statusOf(daemon, spec.id, 'running');
  await daemon.copies.restore(spec.id, 'k1');
  const after = await statusOf(daemon, spec.id, (status) => status?.phase === 'running' && status.process?.pid !== before.process?.pid);
  deepEqual([after.startedBy?.way, after.guest, await told(spec.id)], ['snapshot', before.guest, 'first']);
  deepEqual(host.world.doubleStarts, []);
  await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: 9 });
  await statusOf(daemon, spec.id, 'stopped');
  await daemon.copies.restore(spec.id, 'k1');
  equal((await daemon.specs.get(spec.id))?.value.wanted, 'running', 'memory that is brought back goes on');
  await statusOf(daemon, spec.id, 'running');
  equal(await told(spec.id), 'first');
});

test('[M35] a paused machine stays paused; without memory it is as stopped or running as it was', async () => {
  const spec = await running({ disks: [disk] });
  await daemon.specs.put(spec.id, { ...spec, wanted: 'paused', generation: 2 });
  await statusOf(daemon, spec.id, 'paused');
  await daemon.copies.take(spec.id, wish('k1', false));
  equal((await statusOf(daemon, spec.id, 'paused')).why, '');
  await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: 3 });
  await statusOf(daemon, spec.id, 'stopped');
  await daemon.copies.take(spec.id, wish('k2', false));
  await daemon.copies.restore(spec.id, 'k1');
  equal((await daemon.specs.get(spec.id))?.value.wanted, 'stopped');
  deepEqual((await daemon.copies.list(spec.id)).map((one) => one.id), ['k1', 'k2']);
  await daemon.specs.put(spec.id, { ...spec, generation: 4 });
  await statusOf(daemon, spec.id, 'running');
  await daemon.copies.restore(spec.id, 'k2');
  equal((await statusOf(daemon, spec.id, (status) => status?.phase === 'running' && (status.startedAt ?? 0) > 0)).startedBy?.way, 'cold');
});

test('[M36] a snapshot whose memory cannot be used is refused before its machine is ended', async () => {
  const spec = await running();
  await daemon.copies.take(spec.id, wish('k1'));
  await say(spec.id, 'second');
  const { process } = await statusOf(daemon, spec.id, 'running');
  const { shown } = host.world.snapshots.get(spec.id)?.get('k1') ?? {};
  ok(shown !== undefined);
  host.world.snapshots.get(spec.id)?.set('k1', { shown, memory: undefined });
  await rejects(daemon.copies.restore(spec.id, 'k1'), { code: 'machine.snapshotUnusable', message: /no memory$/, advice: /is as it was/ });
  deepEqual([(await statusOf(daemon, spec.id, 'running')).process, await told(spec.id)], [process, 'second']);
});

test('[M36] a machine whose disks back ends serve has no snapshots, which is no error, and takes none', async () => {
  const spec = testMachine({ wanted: 'stopped', disks: [{ ...disk, backend: 'vhost-user' }] });
  await daemon.specs.put(spec.id, spec);
  deepEqual(await daemon.copies.list(spec.id), []);
  await rejects(daemon.copies.take(spec.id, wish('k1', false)), { code: 'machine.engineCannot', message: /back ends serve \(data\)/ });
  deepEqual(await daemon.copies.list(spec.id), []);
});

test('[M36] what cannot be copied says why: none, suspended, unreachable, not running', async () => {
  await rejects(daemon.copies.take('mzzzzzzzzzz', wish('k1')), { code: 'machine.notFound' });
  const spec = await running();
  await rejects(daemon.copies.restore(spec.id, 'k1'), { code: 'machine.snapshotNotFound' });
  await daemon.specs.put(spec.id, { ...spec, wanted: 'suspended', generation: 2 });
  await statusOf(daemon, spec.id, 'suspended');
  await rejects(daemon.copies.take(spec.id, wish('k1', false)), { code: 'machine.suspended' });
  await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: 3 });
  await statusOf(daemon, spec.id, 'stopped');
  const stopped = await running();
  await daemon.specs.put(stopped.id, { ...stopped, wanted: 'stopped', generation: 2 });
  await statusOf(daemon, stopped.id, 'stopped');
  await rejects(daemon.copies.take(stopped.id, wish('k1')), { code: 'machine.noMemory' });
  const full = await running({ name: 'full-disk-two' });
  await rejects(daemon.copies.take(full.id, wish('k1')), /no space/);
  ok((await (await daemon.machines.agent(full.id)).call('ping', {})).uptimeMs >= 0, 'it goes on');
});

test('[M3] a clone that never ran leaves nothing of what it was copied from when it is removed', async () => {
  const spec = await running();
  await daemon.copies.take(spec.id, wish('k1'));
  const child = testMachine({ wanted: 'stopped' });
  await daemon.copies.clone(spec.id, 'k1', child, { memory: true, full: false });
  await daemon.specs.put(child.id, child);
  await statusOf(daemon, child.id, 'defined');
  equal(host.world.goingOn.has(child.id), true);
  await daemon.specs.delete(child.id);
  await waitUntil(async () => (await daemon.statuses.get(child.id)) === undefined, { what: 'it is forgotten', limitMs: 5_000 });
  equal(host.world.goingOn.has(child.id), false);
});

test('[M35] a clone goes on from a snapshot as a machine of its own; passing snapshots are nobody else\'s', async () => {
  const spec = await running();
  await say(spec.id, 'first');
  await daemon.copies.take(spec.id, wish('k1', true, true));
  deepEqual(await daemon.copies.list(spec.id), []);
  const child = testMachine();
  const disks = await daemon.copies.clone(spec.id, 'k1', child, { memory: true, full: false });
  await daemon.copies.remove(spec.id, 'k1');
  await daemon.specs.put(child.id, { ...child, disks: [...disks] });
  equal((await statusOf(daemon, child.id, 'running')).startedBy?.way, 'snapshot');
  equal(host.world.vmms.get(child.id)?.guest?.configured[0]?.hostname, child.name, 'before anybody has its agent');
  await say(child.id, 'child');
  deepEqual([await told(spec.id), await told(child.id)], ['first', 'child']);
  await daemon.copies.take(spec.id, wish('k2', true, true));
  const never = testMachine();
  await daemon.copies.clone(spec.id, 'k2', never, { memory: true, full: false });
  await daemon.copies.discard(spec.id, never.id);
  equal(host.world.goingOn.has(never.id), false);
  await daemon.copies.discard(spec.id, child.id);
  equal(await told(child.id), 'child', 'one that is wished is not discarded');
});

test('[M36] a failure at any step leaves what can be asked for again', async () => {
  const spec = await running();
  await say(spec.id, 'first');
  const child = testMachine();
  const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
    Snapshot: () => daemon.copies.take(spec.id, wish('k1')),
    Clone: () => daemon.copies.clone(spec.id, 'k1', child, { memory: true, full: false }),
    Restore: () => daemon.copies.restore(spec.id, 'k1'),
  };
  for (const [verb, act] of Object.entries(verbs)) {
    for (const when of ['after', 'before']) {
      armFailpoints(`machines.fake.${when}${verb}=1*error`);
      await rejects(act(), { code: 'base.failpoint' }, `${when} ${verb}`);
      await act();
    }
  }
  await statusOf(daemon, spec.id, 'running');
  await waitUntil(async () => (await told(spec.id).catch(() => '')) === 'first', { what: 'it is as it was', limitMs: 5000 });
});

test('[M35] one work after the other for a machine, whatever becomes of each; none waits for another machine', async () => {
  const turns = machineTurns();
  const done: string[] = [];
  const gate = Promise.withResolvers<void>();
  const slow = turns('a', async () => { await gate.promise; done.push('slow'); throw new Error('it failed'); });
  const next = turns('a', async () => { done.push('next'); });
  await turns('b', async () => { done.push('other'); });
  gate.resolve();
  await rejects(slow, /it failed/);
  await next;
  deepEqual(done, ['other', 'slow', 'next']);
});

test('[M37] a first start goes on from another one\'s snapshot, as itself; where it cannot, and at every later start, it boots and says why', async () => {
  const source = await running();
  await say(source.id, 'known');
  await daemon.copies.take(source.id, wish('k5', true, true));
  equal(await daemon.copies.misfit(source.id, 'k5'), undefined);
  const clone = await running({ from: { machineId: source.id, snapshotId: 'k5' } });
  const status = await statusOf(daemon, clone.id, 'running');
  deepEqual([status.startedBy, await told(clone.id)], [{ way: 'snapshot', why: '' }, 'known']);
  equal(host.world.vmms.get(clone.id)?.guest?.configured.at(-1)?.hostname, clone.name);
  host.world.end(clone.id);
  const again = await statusOf(daemon, clone.id, (one) => one?.phase === 'running' && one.restarts === 1);
  deepEqual(again.startedBy, { way: 'cold', why: '' }, 'what it had in memory is gone');

  for (const [from, why] of [[{ machineId: source.id, snapshotId: 'k6' }, /gone/], [{ machineId: 'mzzzzzzzzzz', snapshotId: 'k5' }, /no machine/]] as const) {
    const lost = await running({ from });
    const { startedBy } = await statusOf(daemon, lost.id, (one) => one?.phase === 'running' && one.startedBy?.why !== '');
    equal(startedBy?.way, 'cold');
    match(startedBy?.why ?? '', why);
  }
  ok((await daemon.copies.misfit(source.id, 'k6'))?.includes('gone'));

  armFailpoints('machines.fake.afterClone=1*error');
  const cut = await running({ from: { machineId: source.id, snapshotId: 'k5' } });
  equal((await statusOf(daemon, cut.id, (one) => one?.phase === 'running' && one.startedBy?.why !== '')).startedBy?.way, 'cold');
  armFailpoints('');
});
