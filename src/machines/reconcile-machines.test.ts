/**
 * The machines controller on the fake engine: real store, real driver, real guest protocol.
 * Mostly waits: for the pauses between starts that fail, and for limits of guests that do not answer.
 */
import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict';
import { after, test } from 'node:test';
import { waitUntil } from '#base';
import { openTestHost, statusOf, testMachine } from './testing/test-daemon.ts';

const host = await openTestHost();
const daemon = host.start();
after(async () => { await daemon.end(); await host.close(); });

test('[M1] a machine wished running gets its interface, its VMM, its identity, and is running', async () => {
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  const agent = await daemon.machines.agent(spec.id);
  const status = await statusOf(daemon, spec.id, 'running');
  equal(status.why, '');
  ok(status.bootMs !== null && status.bootMs >= 0);
  equal(status.guest?.kernel, '6.12.0-fake');
  ok(host.network.taps.has(spec.id));
  const guest = host.world.vmms.get(spec.id)?.guest;
  equal(guest?.configured.length, 1);
  const [identity] = guest.configured;
  equal(identity?.hostname, spec.name);
  ok(Buffer.from(identity?.entropy ?? '', 'base64').length >= 32);
  ok(Math.abs((identity?.timeMs ?? 0) - Date.now()) < 10_000);
  ok(/^[0-9a-f]{32}$/.test(identity?.machineId ?? ''));
  equal(await daemon.machines.agent(spec.id), agent, 'one line is shared');
  ok((await agent.call('ping', {})).uptimeMs >= 0);
});

test('[M2] stop powers the guest off, start starts it again; a wished end is no restart', async () => {
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  const first = await statusOf(daemon, spec.id, 'running');
  await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: 2 });
  const stopped = await statusOf(daemon, spec.id, 'stopped');
  deepEqual([stopped.exit?.code, stopped.exit?.signal, stopped.why, stopped.process], [0, null, '', null]);
  await daemon.specs.put(spec.id, { ...spec, generation: 3 });
  const again = await statusOf(daemon, spec.id, 'running');
  notEqual(again.process?.pid, first.process?.pid);
  equal(again.restarts, 0);
});

test('[M3] a machine whose record is deleted leaves nothing', async () => {
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  await statusOf(daemon, spec.id, 'running');
  await daemon.specs.delete(spec.id);
  await statusOf(daemon, spec.id, (status) => status === undefined);
  equal(host.world.vmms.has(spec.id), false);
  equal(host.network.taps.has(spec.id), false);
  deepEqual((await host.store.list('')).entries.map((one) => one.key).filter((key) => key.includes(spec.id)), []);
});

test('[M4] a VMM that dies is noticed within a second, told with how, and started again with a pause, counted', async () => {
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  const first = await statusOf(daemon, spec.id, 'running');
  const at = performance.now();
  host.world.end(spec.id, { code: 134, stderr: 'qemu: it broke' });
  const failed = await statusOf(daemon, spec.id, (status) => status?.exit !== null && status?.phase !== 'running');
  ok(performance.now() - at < 1000);
  deepEqual([failed.exit?.code, failed.exit?.stderr], [134, 'qemu: it broke']);
  const again = await statusOf(daemon, spec.id, 'running');
  deepEqual([again.restarts, again.why, again.exit?.code], [1, '', 134]);
  notEqual(again.process?.pid, first.process?.pid);
  notEqual(again.guest?.bootId, first.guest?.bootId);
  equal(host.world.starts.get(spec.id), 2);
});

test('[M5] a machine that fails again and again is started less and less often, and says why', async () => {
  const spec = testMachine({ name: 'panics-always' });
  await daemon.specs.put(spec.id, spec);
  const status = await statusOf(daemon, spec.id, (one) => (one?.restarts ?? 0) >= 3 && one?.phase === 'failed');
  ok(status.why.includes('panicked'), status.why);
  await daemon.specs.delete(spec.id);
  await statusOf(daemon, spec.id, (one) => one === undefined);
  const refused = testMachine({ name: 'refuse-boot' });
  await daemon.specs.put(refused.id, refused);
  const told = await statusOf(daemon, refused.id, 'failed');
  ok(told.why.includes('does not boot'), told.why);
  await waitUntil(() => !host.network.taps.has(refused.id), { what: 'the interface of a start that failed is gone', limitMs: 3000, everyMs: 1 });
  await daemon.specs.delete(refused.id);
  await statusOf(daemon, refused.id, (one) => one === undefined);
  equal(host.network.taps.has(refused.id), false);
});

test('[M6] a new restart token is one restart', async () => {
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  const first = await statusOf(daemon, spec.id, 'running');
  await daemon.specs.put(spec.id, { ...spec, restartToken: 'r1', generation: 2 });
  const again = await statusOf(daemon, spec.id, (status) => status?.phase === 'running' && status.process?.pid !== first.process?.pid);
  equal(again.restarts, 1);
  daemon.run.wake('machines', spec.id);
  await statusOf(daemon, spec.id, 'running');
  equal(host.world.starts.get(spec.id), 2);
});

test('[M18] paused it stands still, is not called silent, refuses what needs its guest, and goes on with its clock right', async () => {
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  const first = await statusOf(daemon, spec.id, 'running');
  const agent = await daemon.machines.agent(spec.id);
  const promised = await daemon.promised();
  await daemon.specs.put(spec.id, { ...spec, wanted: 'paused', generation: 2 });
  const paused = await statusOf(daemon, spec.id, 'paused');
  deepEqual([paused.why, paused.process, paused.guest], ['', first.process, first.guest]);
  equal(host.world.vmms.get(spec.id)?.paused, true);
  deepEqual(await daemon.promised(), promised);
  const refusal = { code: 'machine.paused', kind: 'unavailable' };
  await rejects(daemon.machines.agent(spec.id), refusal);
  await rejects(daemon.machines.attachDisk(spec.id, { serial: 'd', path: '/dev/null', format: 'raw', readOnly: true }), refusal);
  await rejects(daemon.machines.detachDisk(spec.id, 'd'), refusal);
  // Longer than a silent guest or VMM would be let live.
  const until = performance.now() + 1500;
  await waitUntil(async () => {
    equal((await daemon.statuses.get(spec.id))?.value.phase, 'paused');
    return performance.now() > until;
  }, { what: 'time passes', limitMs: 5000, everyMs: 50 });
  await daemon.specs.put(spec.id, { ...spec, wanted: 'paused', generation: 3 });
  await statusOf(daemon, spec.id, (status) => status?.phase === 'paused' && status.generation === 3);
  await daemon.specs.put(spec.id, { ...spec, generation: 4 });
  const again = await statusOf(daemon, spec.id, 'running');
  deepEqual([again.process, again.guest, again.restarts, again.startedAt], [first.process, first.guest, 0, first.startedAt]);
  const configured = host.world.vmms.get(spec.id)?.guest?.configured ?? [];
  equal(configured.length, 2);
  ok(Math.abs((configured[1]?.timeMs ?? 0) - Date.now()) < 2000);
  equal(await daemon.machines.agent(spec.id), agent, 'its line stayed open');
  ok((await agent.call('ping', {})).uptimeMs >= 0);
});

test('[M19] a paused machine is stopped, restarted and removed; one that died is told, and booted by another wish', async () => {
  const [stops, restarts, goes, dies] = [testMachine(), testMachine(), testMachine(), testMachine()];
  const all = [stops, restarts, goes, dies];
  for (const spec of all) await daemon.specs.put(spec.id, spec);
  for (const spec of all) await statusOf(daemon, spec.id, 'running');
  for (const spec of all) await daemon.specs.put(spec.id, { ...spec, wanted: 'paused', generation: 2 });
  for (const spec of all) await statusOf(daemon, spec.id, 'paused');
  await daemon.specs.put(stops.id, { ...stops, wanted: 'stopped', generation: 3 });
  const stopped = await statusOf(daemon, stops.id, 'stopped');
  deepEqual([stopped.exit?.code, stopped.exit?.signal], [0, null], 'its guest switched itself off');
  await daemon.specs.put(restarts.id, { ...restarts, restartToken: 'r', generation: 3 });
  await statusOf(daemon, restarts.id, (status) => status?.phase === 'running' && status.restarts === 1);
  await daemon.specs.delete(goes.id);
  await statusOf(daemon, goes.id, (status) => status === undefined);
  equal(host.world.vmms.has(goes.id), false);
  host.world.end(dies.id, { signal: 'SIGKILL' });
  const failed = await statusOf(daemon, dies.id, 'failed');
  equal(failed.why, 'its VMM was ended by SIGKILL');
  daemon.run.wake('machines', dies.id);
  await daemon.specs.put(dies.id, { ...dies, wanted: 'paused', generation: 3 });
  await statusOf(daemon, dies.id, (status) => status?.phase === 'failed' && status.generation === 3);
  equal(host.world.starts.get(dies.id), 1);
  await daemon.specs.put(dies.id, { ...dies, generation: 4 });
  await statusOf(daemon, dies.id, 'running');
});

test('[M29] suspended it has no VMM and no promise of memory, also for a later daemon, and goes on as the guest it was', async () => {
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  const first = await statusOf(daemon, spec.id, 'running');
  const promised = await daemon.promised();
  await daemon.specs.put(spec.id, { ...spec, wanted: 'suspended', generation: 2 });
  const suspended = await statusOf(daemon, spec.id, 'suspended');
  deepEqual([suspended.why, suspended.process, suspended.exit?.code], ['', null, 0]);
  equal(host.world.suspensions.get(spec.id), 1, 'not again before its end is noticed');
  equal(promised.memoryMiB - (await daemon.promised()).memoryMiB, spec.memoryMiB);
  deepEqual(await daemon.suspended(spec.id), { why: '' });
  await rejects(daemon.machines.agent(spec.id, { timeoutMs: 1000 }), { code: 'machine.notRunning' });
  await daemon.specs.put(spec.id, { ...spec, generation: 3 });
  const again = await statusOf(daemon, spec.id, 'running');
  deepEqual([again.guest, again.startedBy, again.restarts], [first.guest, { way: 'suspended', why: '' }, 0]);
  equal(host.world.vmms.get(spec.id)?.guest?.configured.length, 2, 'its clock was set');
  equal(await daemon.suspended(spec.id), undefined);
  ok((await (await daemon.machines.agent(spec.id)).call('ping', {})).uptimeMs >= 0);
  await daemon.specs.put(spec.id, { ...spec, wanted: 'paused', generation: 4 });
  await statusOf(daemon, spec.id, 'paused');
  await daemon.specs.put(spec.id, { ...spec, wanted: 'suspended', generation: 5 });
  await statusOf(daemon, spec.id, 'suspended');
  await daemon.specs.delete(spec.id);
  await statusOf(daemon, spec.id, (status) => status === undefined);
  equal(host.world.isSuspended(spec.id), false);
});

test('[M29] one that cannot be written down runs on, and says why', async () => {
  const spec = testMachine({ name: 'full-disk-one' });
  await daemon.specs.put(spec.id, spec);
  const first = await statusOf(daemon, spec.id, 'running');
  await daemon.specs.put(spec.id, { ...spec, wanted: 'suspended', generation: 2 });
  const told = await statusOf(daemon, spec.id, (status) => status?.phase === 'running' && status.why.includes('no space'));
  deepEqual(told.process, first.process);
  await daemon.specs.put(spec.id, { ...spec, generation: 3 });
  await statusOf(daemon, spec.id, 'running');
  ok((await (await daemon.machines.agent(spec.id)).call('ping', {})).uptimeMs >= 0);
  equal(host.world.vmms.get(spec.id)?.paused, false);
});

test('[M7] a hung VMM is unknown with its reason, never doubled, and goes on where it answers in time', async () => {
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  const first = await statusOf(daemon, spec.id, 'running');
  host.world.hang(spec.id, true);
  const silent = await statusOf(daemon, spec.id, 'unknown');
  ok(silent.why.includes('does not answer'), silent.why);
  host.world.hang(spec.id, false);
  const healed = await statusOf(daemon, spec.id, 'running');
  deepEqual([healed.process?.pid, healed.guest?.bootId, healed.restarts], [first.process?.pid, first.guest?.bootId, 0]);
  host.world.hang(spec.id, true);
  const again = await statusOf(daemon, spec.id, (status) => status?.phase === 'running' && status.process?.pid !== first.process?.pid);
  deepEqual([again.restarts, again.exit?.signal], [1, 'SIGKILL']);
  deepEqual(host.world.doubleStarts, []);
});

test('[M8] a guest that does not power off is killed when its grace is over; one that never answers is given up', async () => {
  const stubborn = testMachine({ name: 'stubborn-one' });
  await daemon.specs.put(stubborn.id, stubborn);
  await statusOf(daemon, stubborn.id, 'running');
  await daemon.specs.put(stubborn.id, { ...stubborn, wanted: 'stopped', generation: 2 });
  equal((await statusOf(daemon, stubborn.id, 'stopping')).why, 'it is being stopped');
  equal((await statusOf(daemon, stubborn.id, 'stopped')).exit?.signal, 'SIGKILL');
  const mute = testMachine({ name: 'mute-one' });
  await daemon.specs.put(mute.id, mute);
  equal((await statusOf(daemon, mute.id, 'starting')).bootMs, null);
  const failed = await statusOf(daemon, mute.id, (status) => (status?.restarts ?? 0) >= 1);
  equal(failed.exit?.signal, 'SIGKILL');
  await daemon.specs.delete(mute.id);
  await statusOf(daemon, mute.id, (status) => status === undefined);
});

test('[M9] a machine that boots a disk of its own runs without an agent, and is stopped by its power button', async () => {
  const spec = testMachine({ boot: { kind: 'disk' } });
  await daemon.specs.put(spec.id, spec);
  equal((await statusOf(daemon, spec.id, 'running')).guest, null);
  await rejects(daemon.machines.agent(spec.id, { timeoutMs: 100 }), { code: 'machine.noAgent' });
  await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: 2 });
  equal((await statusOf(daemon, spec.id, 'stopped')).exit?.code, 0);
});

test('[M15] what upper layers ask of a machine: agent, disks, console; each says why where it cannot', async () => {
  await rejects(daemon.machines.agent('mzzzzzzzzzz', { timeoutMs: 100 }), { code: 'machine.notFound' });
  const spec = testMachine();
  await daemon.specs.put(spec.id, spec);
  await daemon.machines.agent(spec.id);
  const disk = { serial: 'img-1', path: '/dev/null', format: 'raw' as const, readOnly: true };
  await Promise.all([daemon.machines.attachDisk(spec.id, disk), daemon.machines.attachDisk(spec.id, disk)]);
  deepEqual([...host.world.vmms.get(spec.id)?.disks.keys() ?? []], ['img-1']);
  await daemon.machines.detachDisk(spec.id, 'img-1');
  ok((await daemon.machines.consoleLog(spec.id)).length > 0);
  const console = await daemon.machines.openConsole(spec.id);
  console.write('hello');
  equal(String((await console[Symbol.asyncIterator]().next()).value), 'hello');
  console.destroy();
  await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: 2 });
  await statusOf(daemon, spec.id, 'stopped');
  await rejects(daemon.machines.attachDisk(spec.id, disk), { code: 'machine.notRunning' });
  await rejects(daemon.machines.agent(spec.id, { timeoutMs: 100 }), { code: 'machine.notRunning' });
  ok((await daemon.machines.consoleLog(spec.id)).length > 0, 'last words of one that has ended');
});

test('[M16] proofs are kept for one boot of the host; promises are sums over what is wished running', async () => {
  const proofs = await daemon.proofs();
  deepEqual(proofs.map((one) => [one.engine, one.architecture, one.works]), [['fake', 'x86_64', true], ['fake', 'aarch64', true]]);
  ok(await host.store.get('engine-proof/fake'));
  const before = await daemon.promised();
  const spec = testMachine({ processors: 3, memoryMiB: 777, scratchMiB: 1 });
  await daemon.specs.put(spec.id, spec);
  const after = await daemon.promised();
  deepEqual([after.machines - before.machines, after.processors - before.processors, after.memoryMiB - before.memoryMiB, after.diskBytes - before.diskBytes], [1, 3, 777, 1024 ** 2]);
  await statusOf(daemon, spec.id, 'running');
});
