/** One disk, served by one program, to guests of three VMMs; and what becomes of them when it is killed under load. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { isAlive, runProcess, signalProcess, silentLog, systemClock, waitUntil, type Architecture, type Instance } from '#base';
import type { Engine, RunningMachine } from '../engine.ts';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import { ensureLauncher, readExitRecord, startVmm } from '../launcher/index.ts';
import { attackScript, finished } from '../launcher/testing/attack-script.ts';
import { statusField } from '../launcher/testing/stand-in-vmm.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { openQemuEngine } from '../qemu/index.ts';
import { greetAgent, type OpenedAgentConnection } from '../testing/greet-agent.ts';
import { runInGuest } from '../testing/run-in-guest.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { openUmlEngine } from '../uml/index.ts';
import { programContents } from '../vmm/program-contents.ts';
import { backendCommand, storageDaemon } from './backend-command.ts';
import { backendId, backendPlaces, sharedSocket } from './backend-places.ts';
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

async function emptyFile(): Promise<string> {
  const path = join(root, 'empty.raw');
  await writeFile(path, Buffer.alloc(65_536));
  return path;
}

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
  const agent = await greetAgent(machine);
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
  test(`[BE1] the same disk, unchanged, is served to a guest of ${guest.name}, which writes where the one before has written`, async () => {
    const engine = openEngine(guest.engine);
    const spec = testMachine({ engine: guest.engine, architecture: guest.architecture, memoryMiB: 256, scratchMiB: 0, network: null, disks: [disk] });
    await serve(spec);
    const { machine, agent } = await startGuest(engine, spec);
    deepEqual(await machine.disks(), [disk.serial]);
    await said(agent, `mkdir -p /mnt && mount -t ext4 /dev/disk/by-id/${disk.serial} /mnt && echo '${guest.name}' >> /mnt/guests && cat /mnt/guests && umount /mnt`).then((out) => match(out, new RegExp(`${guest.name}\n$`)));
    equal((await said(agent, 'cat /sys/block/vda/cache_type')).trim(), 'write back', 'else a guest would never flush');
    await rejects(machine.attachDisk({ ...disk, serial: 'late' }), { code: 'machine.engineCannot' });
    await rejects(machine.detachDisk(disk.serial), { code: 'machine.engineCannot' });
  });

  test(`[BE2] a back end killed under load: a guest of ${guest.name} ${guest.goesOn ? 'waits and goes on, every byte as written' : 'does not go on, and what it had flushed is there for its next start'}`, async () => {
    const engine = openEngine(guest.engine);
    const spec = testMachine({ engine: guest.engine, architecture: guest.architecture, memoryMiB: 256, scratchMiB: 0, network: null, disks: [disk] });
    const backend = await serve(spec);
    const { machine, agent } = await startGuest(engine, spec);
    await said(agent, 'mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && echo kept > /mnt/kept && sync; for i in 1 2 3 4; do busybox head -c 6000000 /dev/urandom > /tmp/$i; done');
    const load = 'for i in 1 2 3 4; do (for r in 1 2 3 4 5 6; do dd if=/tmp/$i of=/mnt/$i bs=16k conv=fsync 2>&1 || exit 1; done) & pids="$pids $!"; done; for p in $pids; do wait $p || exit 1; done';
    const loaded = runInGuest(agent, load, 240_000);
    let running = backend;
    for (let kills = 0; kills < (guest.goesOn ? 3 : 1); kills += 1) {
      // One that dies while QEMU greets it is another matter: BE4.
      if (guest.goesOn) await waitUntil(async () => await machine.reachesBackend?.(disk.serial) === true, { what: 'QEMU has found it', limitMs: 30_000, everyMs: 20 });
      await systemClock.wait(400);
      await signalProcess(running.process, 'SIGKILL');
      equal((await running.exited).signal, 'SIGKILL');
      equal((await backends.find(backend.id)).found, 'gone');
      if (guest.goesOn) running = await serve(spec);
    }
    if (!guest.goesOn) {
      // It is told of errors, or waits for ever: nothing of it can be trusted, and it is ended with its back end.
      const ended = Promise.allSettled([loaded]);
      await machine.kill();
      const [told] = await ended;
      ok(told.status === 'rejected' || told.value.code !== 0);
      await serve(spec);
      const again = await startGuest(engine, spec);
      equal(await said(again.agent, 'mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && cat /mnt/kept && umount /mnt'), 'kept\n');
      return;
    }
    const { code, out } = await loaded;
    equal(code, 0, out);
    ok(await isAlive(machine.process));
    await said(agent, 'umount /mnt && mount -t ext4 /dev/vda /mnt && for i in 1 2 3 4; do cmp /tmp/$i /mnt/$i || busybox cmp /tmp/$i /mnt/$i || exit 1; done; umount /mnt');
    await runProcess(['e2fsck', '-fn', '--', disk.path], { timeoutMs: 60_000 });
  });
}

test('[BE6] a captured back end reaches nothing: confined as a VMM, and the attack script in its own jail is denied everything', async () => {
  const spec = testMachine({ disks: [disk] });
  const backend = await serve(spec);
  const { pid } = backend.process;
  const uid = Number((await statusField(pid, 'Uid')).split('\t')[0]);
  ok(uid >= 100_000);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) equal(Number.parseInt(await statusField(pid, set), 16), 0, set);
  deepEqual([await statusField(pid, 'NoNewPrivs'), await statusField(pid, 'Seccomp')], ['1', '2']);
  deepEqual((await readdir(`/proc/${pid}/root`)).filter((name) => !['lib', 'lib64'].includes(name)).sort(), ['dev', 'disks', 'etc', 'usr']);
  deepEqual(await readdir(`/proc/${pid}/root/disks`), [disk.serial]);
  for (const line of (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').filter((one) => /:(memory|pids):/.test(one))) ok(line.endsWith(`/strata-${instance.name}/${backend.id}`), line);

  const secret = join(root, 'store.db');
  await writeFile(secret, 'secret', { mode: 0o666 });
  const listener = createServer((socket) => socket.end('welcome')).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const folder = backendPlaces(instance, 'attacker').runFolder;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const places = backendPlaces(instance, backend.id);
    const script = attackScript({
      files: [secret, '/etc/shadow', '/etc/passwd', disk.path], sockets: [places.monitor, join(places.shared, sharedSocket)],
      processes: [process.pid, pid], listener: { address: '127.0.0.1', port: (listener.address() as AddressInfo).port },
    });
    const contents = programContents(storageDaemon);
    const other = join(root, 'other.raw');
    await writeFile(other, 'theirs');
    const { descriptors, mounted } = backendCommand({ ...disk, path: other, readOnly: true }, join(root, 'layers'));
    const record = await startVmm(await ensureLauncher(instance), folder, {
      uid: 9_000_003, cgroups: [], links: contents.links, readable: [...contents.readable, { source: '/bin/busybox' }], devices: ['/dev/null', '/dev/zero', '/dev/urandom'],
      descriptors: [...descriptors, { kind: 'console' }], mounted, program: '/bin/busybox', argv: ['sh', '-c', `${script}\nif (echo x > /disks/${disk.serial}) 2>/dev/null; then echo "SUCCEEDED: write a read-only disk" >&2; fi`],
    });
    await waitUntil(async () => !(await isAlive(record.keeper)), { what: 'the attack is over', limitMs: 60_000 });
    equal((await readExitRecord(folder))?.stderr.trim(), finished);
    equal(await readFile(other, 'utf8'), 'theirs');
    ok(await isAlive(backend.process));
  } finally {
    listener.close();
    await rm(folder, { recursive: true, force: true });
  }
});

test('[BE7] a start that fails says why and leaves nothing; a disk that somebody has open is refused', async () => {
  const first = testMachine({ disks: [disk] });
  const backend = await serve(first);
  const id = backendId(testMachine().id, disk.serial);
  cleanUp.push(() => backends.erase(id));
  await rejects(backends.start({ id, disk, memoryMiB: 64 }), { code: 'machine.diskLocked' });
  equal((await backends.find(id)).found, 'gone');
  await rejects(backends.start({ id, disk: { ...disk, path: `${disk.path}.lost` }, memoryMiB: 64 }), { code: 'backend.failed', message: /lost: No such file/ });
  await rejects(backends.start({ id, disk: { ...disk, path: await emptyFile(), format: 'qcow2' }, memoryMiB: 64 }), { code: 'backend.failed', message: /qcow2/ });
  await rejects(backends.start({ id: backend.id, disk, memoryMiB: 64 }), { code: 'machine.alreadyRuns' });
  ok(await isAlive(backend.process));
});
