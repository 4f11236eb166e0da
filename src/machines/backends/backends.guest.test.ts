/** One disk, served by one program, to guests of three VMMs; and what becomes of them when it is killed under load. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { isAlive, runProcess, signalProcess, silentLog, systemClock, systemDice, type Architecture, type Instance } from '#base';
import { openAgentConnection, type OpenedAgentConnection } from '../agent/open-agent-connection.ts';
import type { Engine, RunningMachine } from '../engine.ts';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { openQemuEngine } from '../qemu/index.ts';
import { runInGuest } from '../testing/run-in-guest.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { openUmlEngine } from '../uml/index.ts';
import { backendId } from './backend-places.ts';
import type { DiskBackends, RunningBackend } from './disk-backend.ts';
import { openStorageDaemon } from './index.ts';

let root: string;
let instance: Instance;
let backends: DiskBackends;
let disk: MachineDisk;
const cleanUp: (() => Promise<unknown>)[] = [];

before(async () => {
  root = await mkdtemp('/tmp/strata-b-');
  instance = { name: `bt${randomBytes(2).toString('hex')}`, stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 193 };
  backends = openStorageDaemon({ instance });
  const path = join(root, 'data.raw');
  const file = await open(path, 'wx', 0o600);
  try { await file.truncate(128 * 1024 * 1024); } finally { await file.close(); }
  await runProcess(['mkfs.ext4', '-q', '-F', '--', path], { timeoutMs: 60_000 });
  disk = { serial: 'data', path, format: 'raw', readOnly: false, backend: 'vhost-user' };
});
afterEach(async () => { for (const one of cleanUp.splice(0).reverse()) await one(); });
after(async () => {
  const left = [...await readdir(join(root, 'r/b')).catch(() => []), ...await readdir(join(root, 's/qemu-uids')).catch(() => [])];
  await rm(root, { recursive: true, force: true });
  deepEqual(left, [], 'nothing is left');
});

const guests = [
  { name: 'QEMU x86_64', engine: 'qemu', architecture: 'x86_64', goesOn: true },
  { name: 'QEMU aarch64', engine: 'qemu', architecture: 'aarch64', goesOn: true },
  { name: 'UML', engine: 'uml', architecture: 'x86_64', goesOn: false },
] as const;

interface Guest { readonly spec: MachineSpec; readonly machine: RunningMachine; readonly agent: OpenedAgentConnection }

function openEngine(name: 'qemu' | 'uml'): Engine {
  const guestOs = (architecture: Architecture) => ensureGuestOs(architecture, { instance, flavour: name === 'uml' ? 'uml' : 'machine' });
  return name === 'uml' ? openUmlEngine({ instance, log: silentLog, guestOs }) : openQemuEngine({ instance, log: silentLog, guestOs, accelerator: async () => 'tcg' });
}

async function serve(spec: MachineSpec): Promise<RunningBackend> {
  const id = backendId(spec.id, disk.serial);
  const backend = await backends.start({ id, disk, memoryMiB: spec.memoryMiB });
  cleanUp.push(async () => { backend.release(); await backends.erase(id); });
  return backend;
}

async function startGuest(engine: Engine, spec: MachineSpec): Promise<Guest> {
  const machine = await engine.start(spec);
  cleanUp.push(async () => { await machine.kill(); await machine.release(); await engine.erase(spec.id); });
  const agent = await openAgentConnection(await machine.openAgentLine(), { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 90_000 });
  cleanUp.push(async () => agent.close());
  await agent.call('awaitDisks', { serials: [disk.serial], timeoutMs: 30_000 }, { timeoutMs: 60_000 });
  return { spec, machine, agent };
}

async function said(agent: OpenedAgentConnection, script: string): Promise<string> {
  const { code, out } = await runInGuest(agent, script);
  equal(code, 0, out);
  return out;
}

for (const guest of guests) {
  test(`[B1] the same disk, unchanged, is served to a guest of ${guest.name}, which writes where the one before has written`, async () => {
    const engine = openEngine(guest.engine);
    const spec = testMachine({ engine: guest.engine, architecture: guest.architecture, memoryMiB: 256, scratchMiB: 0, network: null, disks: [disk] });
    await serve(spec);
    const { machine, agent } = await startGuest(engine, spec);
    deepEqual(await machine.disks(), [disk.serial]);
    await said(agent, `mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && echo '${guest.name}' >> /mnt/guests && cat /mnt/guests && umount /mnt`).then((out) => match(out, new RegExp(`${guest.name}\n$`)));
    equal((await said(agent, 'cat /sys/block/vda/cache_type')).trim(), 'write back', 'else a guest would never flush');
    await rejects(machine.attachDisk({ ...disk, serial: 'late' }), { code: 'machine.engineCannot' });
    await rejects(machine.detachDisk(disk.serial), { code: 'machine.engineCannot' });
  });

  test(`[B2] a back end killed under load: a guest of ${guest.name} ${guest.goesOn ? 'waits and goes on, every byte as written' : 'is told at once, and what it had flushed is there for its next start'}`, async () => {
    const engine = openEngine(guest.engine);
    const spec = testMachine({ engine: guest.engine, architecture: guest.architecture, memoryMiB: 256, scratchMiB: 0, network: null, disks: [disk] });
    const backend = await serve(spec);
    const { machine, agent } = await startGuest(engine, spec);
    await said(agent, 'mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && echo kept > /mnt/kept && sync; for i in 1 2 3 4; do busybox head -c 6000000 /dev/urandom > /tmp/$i; done');
    const load = 'for i in 1 2 3 4; do (for r in 1 2 3 4 5 6; do dd if=/tmp/$i of=/mnt/$i bs=16k conv=fsync 2>&1 || exit 1; done) & pids="$pids $!"; done; for p in $pids; do wait $p || exit 1; done';
    const loaded = runInGuest(agent, load, 240_000);
    let running = backend;
    for (let kills = 0; kills < (guest.goesOn ? 3 : 1); kills += 1) {
      await systemClock.wait(400);
      await signalProcess(running.process, 'SIGKILL');
      equal((await running.exited).signal, 'SIGKILL');
      equal((await backends.find(backend.id)).found, 'gone');
      if (guest.goesOn) running = await serve(spec);
    }
    const { code, out } = await loaded;
    if (!guest.goesOn) {
      ok(code !== 0, out);
      await machine.kill();
      await serve(spec);
      const again = await startGuest(engine, spec);
      equal(await said(again.agent, 'mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && cat /mnt/kept && umount /mnt'), 'kept\n');
      return;
    }
    equal(code, 0, out);
    ok(await isAlive(machine.process));
    await said(agent, 'umount /mnt && mount -t ext4 /dev/vda /mnt && for i in 1 2 3 4; do cmp /tmp/$i /mnt/$i || busybox cmp /tmp/$i /mnt/$i || exit 1; done; umount /mnt');
    await runProcess(['e2fsck', '-fn', '--', disk.path], { timeoutMs: 60_000 });
  });
}
