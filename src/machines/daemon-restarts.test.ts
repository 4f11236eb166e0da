/**
 * Daemons that come, go and are cut off at any point, while machines live on: nothing doubled, nothing lost, nothing left.
 * Mostly waits: for limits of guests that do not answer, and for what was begun to go on before a daemon ends.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { after, test } from 'node:test';
import { armFailpoints, seededDice, StrataError, systemClock, waitUntil } from '#base';
import type { MachineStatus } from './machine.ts';
import { openTestHost, statusOf, testMachine } from './testing/test-daemon.ts';

const host = await openTestHost();
after(async () => { armFailpoints(''); await host.close(); });

async function keysOf(id: string): Promise<string[]> {
  return (await host.store.list('')).entries.map((one) => one.key).filter((key) => key.includes(id));
}

test('[M20] a later daemon finds running machines by identity: same process, same guest, identity not given twice', async () => {
  const first = host.start();
  const spec = testMachine();
  await first.specs.put(spec.id, spec);
  const before = await statusOf(first, spec.id, 'running');
  await first.end();
  const second = host.start();
  ok((await (await second.machines.agent(spec.id)).call('ping', {})).uptimeMs >= 0);
  const after = await statusOf(second, spec.id, 'running');
  deepEqual([after.process, after.guest, after.startedAt, after.restarts], [before.process, before.guest, before.startedAt, 0]);
  equal(host.world.vmms.get(spec.id)?.guest?.configured.length, 1);
  await second.specs.delete(spec.id);
  await statusOf(second, spec.id, (status) => status === undefined);
  await second.end();
});

test('[M28] a later daemon finds a paused machine paused, and lets it go on with its clock right', async () => {
  const first = host.start();
  const spec = testMachine();
  await first.specs.put(spec.id, spec);
  const before = await statusOf(first, spec.id, 'running');
  await first.specs.put(spec.id, { ...spec, wanted: 'paused', generation: 2 });
  await statusOf(first, spec.id, 'paused');
  await first.end();
  const second = host.start();
  await rejects(second.machines.agent(spec.id, { timeoutMs: 2000 }), { code: 'machine.paused' });
  const until = performance.now() + 1500;
  await waitUntil(async () => {
    equal((await second.statuses.get(spec.id))?.value.phase, 'paused', 'it is not called silent');
    return performance.now() > until;
  }, { what: 'time passes', limitMs: 5000, everyMs: 50 });
  await second.specs.put(spec.id, { ...spec, generation: 3 });
  const after = await statusOf(second, spec.id, 'running');
  ok((await (await second.machines.agent(spec.id)).call('ping', {})).uptimeMs >= 0);
  deepEqual([after.process, after.guest, after.restarts], [before.process, before.guest, 0]);
  await waitUntil(() => host.world.vmms.get(spec.id)?.guest?.configured.length === 2, { what: 'its clock is set', limitMs: 2000 });
  await second.specs.delete(spec.id);
  await statusOf(second, spec.id, (status) => status === undefined);
  await second.end();
});

for (const [point, wanted] of [['machines.afterPause', 'paused'], ['machines.afterResume', 'running']] as const) {
  test(`[M28] a daemon that ends at ${point}: the next one finds what is, and makes it as wished`, async () => {
    const first = host.start();
    const spec = testMachine();
    await first.specs.put(spec.id, spec);
    await statusOf(first, spec.id, 'running');
    if (wanted === 'running') {
      await first.specs.put(spec.id, { ...spec, wanted: 'paused', generation: 2 });
      await statusOf(first, spec.id, 'paused');
    }
    armFailpoints(`${point}=error`);
    await first.specs.put(spec.id, { ...spec, wanted, generation: 3 });
    const world = () => host.world.vmms.get(spec.id);
    await waitUntil(() => world()?.paused === (wanted === 'paused'), { what: 'it came to the point', limitMs: 5000 });
    await first.end();
    armFailpoints('');
    const second = host.start();
    await statusOf(second, spec.id, (status) => status?.phase === wanted);
    equal(world()?.paused, wanted === 'paused');
    if (wanted === 'running') {
      ok((await (await second.machines.agent(spec.id)).call('ping', {})).uptimeMs >= 0);
      ok((world()?.guest?.configured.length ?? 0) >= 2, 'its clock was set');
    }
    await second.specs.delete(spec.id);
    await statusOf(second, spec.id, (status) => status === undefined);
    await second.end();
  });
}

test('[M27] what a stopped machine\'s console printed last is told by a later daemon too; of one that never ran there is nothing', async () => {
  const first = host.start();
  const spec = testMachine();
  const never = testMachine({ wanted: 'stopped' });
  for (const one of [spec, never]) await first.specs.put(one.id, one);
  await statusOf(first, spec.id, 'running');
  await first.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: 2 });
  await statusOf(first, spec.id, 'stopped');
  await first.end();
  const second = host.start();
  ok((await second.machines.consoleLog(spec.id)).length > 0);
  equal((await second.machines.consoleLog(never.id)).length, 0);
  await rejects(second.machines.consoleLog('mzzzzzzzzzz'), { code: 'machine.notFound' });
  for (const one of [spec, never]) {
    await second.specs.delete(one.id);
    await statusOf(second, one.id, (status) => status === undefined);
  }
  await second.end();
});

test('[M21] what died while no daemon ran is told with how, and started again; what was deleted meanwhile is removed', async () => {
  const first = host.start();
  const [dies, deleted] = [testMachine(), testMachine()];
  for (const spec of [dies, deleted]) await first.specs.put(spec.id, spec);
  for (const spec of [dies, deleted]) await statusOf(first, spec.id, 'running');
  await first.end();
  host.world.end(dies.id, { signal: 'SIGSEGV' });
  await host.store.transact({ writes: [{ delete: `machine/${deleted.id}` }] });
  const second = host.start();
  const again = await statusOf(second, dies.id, (status) => status?.phase === 'running' && status.restarts === 1);
  equal(again.exit?.signal, 'SIGSEGV');
  await statusOf(second, deleted.id, (status) => status === undefined);
  deepEqual([host.world.vmms.has(deleted.id), host.network.taps.has(deleted.id), await keysOf(deleted.id)], [false, false, []]);
  await second.specs.delete(dies.id);
  await statusOf(second, dies.id, (status) => status === undefined);
  await second.end();
});

test('[M22] found alive but not answering is unknown, not gone: no second one; ended by identity when its time is over', async () => {
  const first = host.start();
  const spec = testMachine();
  await first.specs.put(spec.id, spec);
  await statusOf(first, spec.id, 'running');
  await first.end();
  host.world.hang(spec.id, true);
  const second = host.start();
  const silent = await statusOf(second, spec.id, 'unknown');
  equal(silent.why, 'its control socket does not answer');
  equal(host.world.starts.get(spec.id), 1);
  const again = await statusOf(second, spec.id, (status) => status?.phase === 'running' && status.process?.pid !== silent.process?.pid);
  equal(again.restarts, 1);
  deepEqual(host.world.doubleStarts, []);
  await second.specs.delete(spec.id);
  await statusOf(second, spec.id, (status) => status === undefined);
  await second.end();
});

test('[M23] after a reboot of the host what is wished running runs again, without a pause and not counted as a failure', async () => {
  const first = host.start();
  const [runs, rests] = [testMachine(), testMachine({ wanted: 'stopped' })];
  for (const spec of [runs, rests]) await first.specs.put(spec.id, spec);
  await statusOf(first, runs.id, 'running');
  await statusOf(first, rests.id, 'defined');
  await first.end();
  host.world.reboot();
  const second = host.start();
  const again = await statusOf(second, runs.id, (status) => status?.phase === 'running' && status.process?.bootId === host.world.bootId);
  equal(again.restarts, 0);
  equal(host.world.vmms.has(rests.id), false);
  for (const spec of [runs, rests]) await second.specs.delete(spec.id);
  for (const spec of [runs, rests]) await statusOf(second, spec.id, (status) => status === undefined);
  await second.end();
});

/** Every crash point of the verbs: an error there, once and three times; the wish comes true all the same. */
for (const times of [1, 3]) {
  for (const point of ['start', 'powerOff', 'erase', 'removeTap', 'forget'].flatMap((kind) => [`machine.${kind}.before`, `machine.${kind}.after`])) {
    test(`[M24] failing ${times}× at ${point}: start, restart, stop and delete still come true and nothing is left`, async () => {
      const daemon = host.start();
      const spec = testMachine();
      armFailpoints(`${point}=${times}*error`);
      await daemon.specs.put(spec.id, spec);
      await statusOf(daemon, spec.id, 'running');
      await daemon.specs.put(spec.id, { ...spec, restartToken: 'again', generation: 2 });
      await waitUntil(async () => (host.world.starts.get(spec.id) ?? 0) >= 2 && (await daemon.statuses.get(spec.id))?.value.phase === 'running', { what: 'it was restarted', limitMs: 10_000 });
      await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', restartToken: 'again', generation: 3 });
      await statusOf(daemon, spec.id, 'stopped');
      await daemon.specs.delete(spec.id);
      await statusOf(daemon, spec.id, (status) => status === undefined);
      armFailpoints('');
      await waitUntil(async () => (await keysOf(spec.id)).length === 0, { what: 'no record is left', limitMs: 5000 });
      deepEqual([host.world.vmms.has(spec.id), host.network.taps.has(spec.id), host.world.doubleStarts], [false, false, []]);
      await daemon.end();
    });
  }
}

test('[M26] the store fails just after the VMM was started: that VMM is ended, and the next start has its interface', async () => {
  const spec = testMachine();
  let failed = 0;
  const daemon = host.start({
    ...host.store,
    transact: async (transaction) => {
      // What is written once the VMM runs says which process it is.
      const found = transaction.writes.some((write) => 'value' in write && write.put === `machine-status/${spec.id}` && (write.value as MachineStatus).process !== null);
      if (found && failed < 1) { failed += 1; throw new StrataError('no space', { code: 'store.diskFull', kind: 'exhausted' }); }
      return host.store.transact(transaction);
    },
  });
  await daemon.specs.put(spec.id, spec);
  await statusOf(daemon, spec.id, 'running');
  deepEqual([failed, host.world.starts.get(spec.id), host.network.taps.has(spec.id), host.world.doubleStarts], [1, 2, true, []]);
  await daemon.specs.delete(spec.id);
  await statusOf(daemon, spec.id, (status) => status === undefined);
  await daemon.end();
});

test('[M25] random deaths, hangs, wishes and daemon restarts: never two of one machine, and at rest all is as wished', async () => {
  const dice = seededDice(20_261_125);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(dice.fraction() * list.length)] as T;
  const specs = Array.from({ length: 5 }, () => testMachine());
  let daemon = host.start();
  for (const spec of specs) await daemon.specs.put(spec.id, spec);
  for (let round = 0; round < 120; round += 1) {
    const { id } = pick(specs);
    const act = pick(['kill', 'kill', 'hang', 'heal', 'stop', 'start', 'restart', 'daemon', 'pause'] as const);
    if (act === 'kill') host.world.end(id, { signal: 'SIGKILL' });
    else if (act === 'hang') host.world.hang(id, true);
    else if (act === 'heal') host.world.hang(id, false);
    else if (act === 'daemon') { await daemon.end(); daemon = host.start(); }
    else if (act === 'pause') await systemClock.wait(Math.round(dice.fraction() * 40)); // lets what was begun go on for a while
    else {
      await daemon.specs.update(id, (before) => (before === undefined ? before : {
        ...before, generation: before.generation + 1, ...(act === 'restart' ? { restartToken: `r${round}` } : { wanted: act === 'stop' ? 'stopped' as const : 'running' as const }),
      }));
    }
    deepEqual(host.world.doubleStarts, []);
  }
  for (const { id } of specs) host.world.hang(id, false);
  for (const { id } of specs) {
    const { wanted } = (await daemon.specs.get(id))?.value ?? { wanted: 'stopped' };
    await statusOf(daemon, id, (status) => (wanted === 'running' ? status?.phase === 'running' : status?.phase === 'stopped' || status?.phase === 'defined'));
    const vmm = host.world.vmms.get(id);
    equal(vmm !== undefined && vmm.exit === undefined, wanted === 'running');
  }
  for (const { id } of specs) await daemon.specs.delete(id);
  for (const { id } of specs) await statusOf(daemon, id, (status) => status === undefined);
  await daemon.end();
  equal(host.world.vmms.size, 0);
  equal(host.network.taps.size, 0);
  deepEqual((await host.store.list('')).entries.map((one) => one.key).filter((key) => !key.startsWith('engine-proof/')), []);
});
