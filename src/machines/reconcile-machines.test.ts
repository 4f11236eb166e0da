/** The machines controller on the fake engine: real store, real driver, real guest protocol. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { after, test } from 'node:test';
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
