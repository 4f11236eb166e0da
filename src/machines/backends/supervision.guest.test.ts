/** Back ends under the controllers of a daemon: started with their machine, started again, found by a later daemon, gone with it. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isAlive, signalProcess, silentLog, systemClock, systemDice, waitUntil, type Architecture, type Instance } from '#base';
import { runControllers } from '#reconcile';
import type { Store } from '#store';
import { openSqliteStore } from '#store/sqlite';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import { fakeNetwork } from '../fake/index.ts';
import { ownDisk } from '../machine-disks.ts';
import type { MachineSpec } from '../machine.ts';
import { openMachines, type OpenedMachines } from '../open-machines.ts';
import { openQemuEngine } from '../qemu/index.ts';
import { runInGuest } from '../testing/run-in-guest.ts';
import { statusOf, testMachine } from '../testing/test-daemon.ts';
import { openUmlEngine } from '../uml/index.ts';
import type { BackendStatus } from './backend.ts';
import { backendId } from './backend-places.ts';
import { openStorageDaemon } from './index.ts';

let root: string;
let instance: Instance;
let store: Store;

interface Daemon extends OpenedMachines { end(): Promise<void> }

before(async () => {
  root = await mkdtemp('/tmp/strata-bs-');
  instance = { name: `bs${randomBytes(2).toString('hex')}`, stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 192 };
  store = await openSqliteStore({ path: join(root, 'store.db') });
});
after(async () => {
  await store.close();
  const left = await Promise.all(['r/b', 'r/q', 'r/u', 's/disks', 's/qemu-uids'].map((folder) => readdir(join(root, folder)).catch(() => [])));
  await rm(root, { recursive: true, force: true });
  deepEqual(left.flat(), [], 'nothing is left');
});

function startDaemon(): Daemon {
  const guestOs = (flavour: 'machine' | 'uml') => (architecture: Architecture) => ensureGuestOs(architecture, { instance, flavour });
  const engines = [openQemuEngine({ instance, log: silentLog, guestOs: guestOs('machine'), accelerator: async () => 'tcg' }), openUmlEngine({ instance, log: silentLog, guestOs: guestOs('uml') })];
  const opened = openMachines({ instance, store, engines, network: fakeNetwork(), backends: openStorageDaemon({ instance }), clock: systemClock, dice: systemDice, log: silentLog });
  ok(opened.backends !== undefined);
  const run = runControllers({ controllers: [opened.controller, opened.backends.controller], store, clock: systemClock, dice: systemDice, log: silentLog, fullRoundMs: 60_000, backOff: { firstMs: 5, maxMs: 100 } });
  return { ...opened, async end() { await run.stop(); await opened.stop(); } };
}

function specOf(engine: 'qemu' | 'uml'): MachineSpec {
  const plain = testMachine({ engine, network: null, scratchMiB: 0 });
  return { ...plain, disks: [ownDisk(instance, plain.id, { serial: 'data', content: { sizeMiB: 64 }, backend: 'vhost-user' })] };
}

async function backendOf(daemon: Daemon, id: string, fits: (status: BackendStatus | undefined) => boolean): Promise<BackendStatus | undefined> {
  let last: BackendStatus | undefined;
  await waitUntil(async () => {
    last = (await daemon.backends?.statuses.get(backendId(id, 'data')))?.value;
    return fits(last);
  }, { what: 'the back end is as awaited', limitMs: 30_000, everyMs: 10 }).catch((cause: unknown) => { throw new Error(`it never was as awaited: ${JSON.stringify(last)}`, { cause }); });
  return last;
}

const killed = async (status: BackendStatus | undefined): Promise<void> => { ok(status?.process); await signalProcess(status.process, 'SIGKILL'); };

async function said(daemon: Daemon, id: string, script: string): Promise<string> {
  const agent = await daemon.machines.agent(id, { timeoutMs: 90_000 });
  await agent.call('awaitDisks', { serials: ['data'], timeoutMs: 30_000 }, { timeoutMs: 60_000 });
  const { code, out } = await runInGuest(agent, script);
  equal(code, 0, out);
  return out;
}

const write = 'mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && echo kept > /mnt/kept && sync && umount /mnt';
const read = 'mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && cat /mnt/kept && umount /mnt';

test('[BE3] with its machine it starts, killed it is started again, a later daemon finds it, and with its machine it goes', async () => {
  let daemon = startDaemon();
  const spec = specOf('qemu');
  await daemon.specs.put(spec.id, spec);
  const { process } = await statusOf(daemon, spec.id, 'running', 90_000);
  ok(process);
  const first = await backendOf(daemon, spec.id, (status) => status?.phase === 'running');
  await said(daemon, spec.id, write);
  await killed(first);
  const second = await backendOf(daemon, spec.id, (status) => status?.phase === 'running' && status.process?.pid !== first?.process?.pid);
  equal(second?.restarts, 1);
  match(second?.log.map((line) => line.text).join('\n') ?? '', /it was started\nit was ended by SIGKILL\nit was started again$/);
  equal(await said(daemon, spec.id, read), 'kept\n');

  await daemon.end();
  await killed(second);
  daemon = startDaemon();
  const third = await backendOf(daemon, spec.id, (status) => status?.phase === 'running' && status.process?.pid !== second?.process?.pid);
  equal(await said(daemon, spec.id, read), 'kept\n');
  await daemon.end();
  daemon = startDaemon();
  equal(await said(daemon, spec.id, read), 'kept\n');
  deepEqual((await backendOf(daemon, spec.id, () => true))?.process, third?.process, 'one that runs is left alone');
  ok(await isAlive(process), 'and so is the machine through all of it');

  await daemon.backends?.records.update(backendId(spec.id, 'data'), (before) => before && { ...before, restartToken: 'again' });
  await backendOf(daemon, spec.id, (status) => status?.phase === 'running' && status.restartToken === 'again' && status.process?.pid !== third?.process?.pid);
  equal(await said(daemon, spec.id, read), 'kept\n');

  await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: 2 });
  await backendOf(daemon, spec.id, (status) => status?.phase === 'stopped' && status.process === null);
  await daemon.specs.put(spec.id, { ...spec, generation: 3 });
  await statusOf(daemon, spec.id, 'running', 90_000);
  equal(await said(daemon, spec.id, read), 'kept\n');
  await daemon.specs.delete(spec.id);
  await backendOf(daemon, spec.id, (status) => status === undefined);
  await waitUntil(async () => (await daemon.statuses.get(spec.id)) === undefined, { what: 'the machine is gone', limitMs: 30_000 });
  await daemon.end();
});

const openSockets = async (pid: number): Promise<number> => {
  const targets = (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''));
  return (await Promise.all(targets)).filter((target) => target.startsWith('socket:')).length;
};

test('[BE4] a machine whose back end dies while QEMU greets it, which then never looks for another, is restarted', async () => {
  const daemon = startDaemon();
  const spec = specOf('qemu');
  await daemon.specs.put(spec.id, spec);
  const { startedAt, process } = await statusOf(daemon, spec.id, 'running', 90_000);
  await said(daemon, spec.id, write);
  ok(process);
  const connected = await openSockets(process.pid);
  let backend = await backendOf(daemon, spec.id, (status) => status?.phase === 'running');
  do { // until it was stopped before QEMU had looked for it, which QEMU does each second
    const before = backend;
    await killed(before);
    backend = await backendOf(daemon, spec.id, (status) => status?.phase === 'running' && status.process?.pid !== before?.process?.pid);
    ok(backend?.process);
    await signalProcess(backend.process, 'SIGSTOP');
    await waitUntil(async () => await openSockets(process.pid) >= connected - 1, { what: 'QEMU has connected', limitMs: 30_000, everyMs: 20 });
  } while (await openSockets(process.pid) === connected); // the greeting opens one more
  await killed(backend);
  await statusOf(daemon, spec.id, (status) => status?.phase === 'running' && status.startedAt !== startedAt, 90_000);
  equal(await said(daemon, spec.id, read), 'kept\n');
  equal((await daemon.statuses.get(spec.id))?.value.restarts, 1);
  await daemon.specs.delete(spec.id);
  await backendOf(daemon, spec.id, (status) => status === undefined);
  await waitUntil(async () => (await daemon.statuses.get(spec.id)) === undefined, { what: 'the machine is gone', limitMs: 30_000 });
  await daemon.end();
});

for (const engine of ['qemu', 'uml'] as const) {
  test(`[BE4] a machine of ${engine} that is stopped and started has its back end started once, and is not told to have lost it`, async () => {
    const daemon = startDaemon();
    const spec = specOf(engine);
    const phases = new Set<string>();
    const watching = setInterval(() => { void daemon.statuses.get(spec.id).then((status) => phases.add(`${status?.value.phase} ${status?.value.why}`)); }, 5);
    for (let generation = 1; generation < 7; generation += 2) {
      await daemon.specs.put(spec.id, { ...spec, generation });
      await statusOf(daemon, spec.id, 'running', 90_000);
      await daemon.specs.put(spec.id, { ...spec, wanted: 'stopped', generation: generation + 1 });
      await statusOf(daemon, spec.id, 'stopped', 60_000);
    }
    clearInterval(watching);
    const backend = await backendOf(daemon, spec.id, (status) => status?.phase === 'stopped');
    deepEqual(backend?.log.map((line) => line.text), Array.from({ length: 3 }, () => ['it was started', 'it was ended, since its machine does not run']).flat());
    deepEqual([...phases].filter((phase) => phase.startsWith('unknown') || phase.startsWith('failed')), []);
    equal((await daemon.statuses.get(spec.id))?.value.restarts, 0);
    await daemon.specs.delete(spec.id);
    await waitUntil(async () => (await daemon.statuses.get(spec.id)) === undefined, { what: 'the machine is gone', limitMs: 30_000 });
    await backendOf(daemon, spec.id, (status) => status === undefined);
    await daemon.end();
  });
}

test('[BE4] a UML machine is restarted with its back end, with what its guest had flushed', async () => {
  const daemon = startDaemon();
  const spec = specOf('uml');
  await daemon.specs.put(spec.id, spec);
  const { startedAt } = await statusOf(daemon, spec.id, 'running', 90_000);
  await said(daemon, spec.id, write);
  await killed(await backendOf(daemon, spec.id, (status) => status?.phase === 'running'));
  const failed = await statusOf(daemon, spec.id, 'failed', 30_000);
  equal(failed.why, 'the back end of its disk data has ended; its VMM was ended by SIGKILL');
  await statusOf(daemon, spec.id, (status) => status?.phase === 'running' && status.startedAt !== startedAt, 90_000);
  equal(await said(daemon, spec.id, read), 'kept\n');
  equal((await daemon.statuses.get(spec.id))?.value.restarts, 1);
  await daemon.specs.delete(spec.id);
  await backendOf(daemon, spec.id, (status) => status === undefined);
  await waitUntil(async () => (await daemon.statuses.get(spec.id)) === undefined, { what: 'the machine is gone', limitMs: 30_000 });
  await daemon.end();
});
