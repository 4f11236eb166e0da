/** Running UMLs, looked at from outside, attacked from inside, and ended in every way: nothing of them stays. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { signalProcess, silentLog, systemClock, waitUntil, type Instance } from '#base';
import type { Engine, RunningMachine, VmmExit } from '../engine.ts';
import { ensureGuestOs, type GuestOs } from '../guest-os/ensure-guest-os.ts';
import { readExitRecord, readKeeperRecord, startVmm } from '../launcher/index.ts';
import { attackScript, finished } from '../launcher/testing/attack-script.ts';
import { statusField } from '../launcher/testing/stand-in-vmm.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { openQemuEngine } from '../qemu/index.ts';
import { greetAgent, type OpenedAgentConnection } from '../testing/greet-agent.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { vmmTraces } from '../testing/vmm-traces.ts';
import { openUmlEngine } from './index.ts';
import { jailContents } from './jail-contents.ts';
import { umlPlaces } from './uml-places.ts';

let root: string;
let instance: Instance;
let engine: Engine;
let kernel: GuestOs;
const started: RunningMachine[] = [];
const agents: OpenedAgentConnection[] = [];

before(async () => {
  root = await mkdtemp('/tmp/strata-uj-');
  instance = { name: 'ujail', stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 206 };
  kernel = await ensureGuestOs('x86_64', { instance, flavour: 'uml' });
  engine = openUmlEngine({ instance, log: silentLog, guestOs: async () => kernel });
});
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.close();
  for (const machine of started.splice(0)) {
    await machine.release();
    await engine.erase(machine.id);
    deepEqual(await vmmTraces(instance, machine.id), []);
  }
});
after(async () => { await rm(root, { recursive: true, force: true }); });

async function start(changes: Partial<MachineSpec> = {}): Promise<{ readonly machine: RunningMachine; readonly agent: OpenedAgentConnection; readonly spec: MachineSpec; readonly uid: number }> {
  const spec = testMachine({ engine: 'uml', network: null, scratchMiB: 0, memoryMiB: 128, ...changes });
  const machine = await engine.start(spec);
  started.push(machine);
  const agent = await greetAgent(machine, 30_000);
  agents.push(agent);
  const uid = (await readKeeperRecord(umlPlaces(instance, spec.id).runFolder))?.uid ?? 0;
  ok(uid >= 100_000);
  return { machine, agent, spec, uid };
}

const shell = '/bin/busybox';
async function run(agent: OpenedAgentConnection, script: string, wait = true): Promise<string> {
  const stream = agent.openStream();
  stream.done.catch(() => undefined);
  stream.input.on('error', () => undefined);
  stream.output.on('error', () => undefined);
  stream.input.end();
  stream.errors.on('error', () => undefined).resume();
  await agent.call('exec', { container: '', stream: stream.id, argv: [shell, 'sh', '-c', script], env: ['PATH=/bin'], cwd: '', user: '', tty: null, stdin: true });
  if (!wait) { stream.output.resume(); return ''; }
  let said = '';
  for await (const chunk of stream.output) said += String(chunk);
  await stream.done;
  return said;
}

/** Processes of the host that belong to that uid. */
async function processesOf(uid: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (/^\d+$/.test(name) && (await stat(`/proc/${name}`).catch(() => undefined))?.uid === uid) found.push(Number(name));
  }
  return found;
}

const noneLeft = (uid: number): Promise<unknown> => waitUntil(async () => (await processesOf(uid)).length === 0, { what: 'no process of the machine is left', limitMs: 5000 });

/** A guest in full swing: it makes processes and files without end. */
async function startBusyGuest(changes: Partial<MachineSpec> = {}): ReturnType<typeof start> {
  const it = await start(changes);
  await run(it.agent, `i=0; while :; do i=$((i+1)); echo x > /tmp/uml-escape-$i; ${shell} sleep 100 & ${shell} true; [ $i -gt 40 ] && { kill %1 %2 2>/dev/null; i=0; }; done`, false);
  await waitUntil(async () => (await processesOf(it.uid)).length > 10, { what: 'the guest has processes', limitMs: 20_000 });
  return it;
}

/** How it ended; undefined where it has not by then. */
async function endWithin(machine: RunningMachine, limitMs: number): Promise<VmmExit | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([machine.exited, systemClock.wait(limitMs, over.signal).then(() => undefined)]);
  } finally {
    over.abort();
  }
}

/** UML itself: the one child of the first process. */
async function programOf(machine: RunningMachine): Promise<number> {
  const program = (await readFile(`/proc/${machine.process.pid}/task/${machine.process.pid}/children`, 'utf8')).trim().split(' ').map(Number);
  equal(program.length, 1);
  return program[0] ?? 0;
}

const hostFiles = async (): Promise<readonly string[]> => (await readdir('/tmp')).filter((name) => name.startsWith('uml-escape-'));

test('[U5] UML and every process of its guest are confined: uid, capabilities, seccomp, namespaces, no proc', async () => {
  const { machine, uid } = await startBusyGuest();
  equal((await statusField(machine.process.pid, 'NSpid')).split('\t').pop(), '1', 'pid 1 of its namespace');
  const namespace = (await stat(`/proc/${machine.process.pid}/ns/pid`)).ino;
  let looked = 0;
  for (const pid of await processesOf(uid)) {
    const field = (name: string) => statusField(pid, name).catch(() => undefined);
    const own = String(uid);
    const [uids, groups, privileges, seccomp] = await Promise.all(['Uid', 'Groups', 'NoNewPrivs', 'Seccomp'].map(field));
    if (uids === undefined || seccomp === undefined) continue; // it has just ended
    deepEqual([uids.split('\t'), groups, privileges, seccomp], [[own, own, own, own], '', '1', '2']);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) match(await field(set) ?? '0', /^0+$/, set);
    equal((await stat(`/proc/${pid}/ns/pid`).catch(() => ({ ino: namespace }))).ino, namespace);
    looked += 1;
  }
  ok(looked > 3, `${looked} processes were looked at`);
  deepEqual((await readdir(`/proc/${machine.process.pid}/root`)).sort(), ['dev', 'disks', 'etc', 'initramfs', 'kernel', 'lib', 'lib64', 'usr']);
});

test('[U6] with UML\'s rights nothing of the host can be reached, and its memory folder is bounded', async () => {
  const files = [join(root, 'other.raw'), join(root, 'store.db')];
  for (const path of files) await writeFile(path, 'secret', { mode: 0o666 });
  const disk = join(root, 'own.raw');
  await writeFile(disk, 'mine', { mode: 0o600 });
  const folder = join(root, 'attack');
  await mkdir(folder, { mode: 0o700 });
  const bounded = ['/bin/busybox dd if=/dev/zero of=/dev/shm/x bs=64k count=100 2>/dev/null && echo "SUCCEEDED: write more than its bound" >&2',
    '(echo x > /disks/own) 2>/dev/null && echo "SUCCEEDED: write a read-only disk" >&2', '[ "$(/bin/busybox cat /disks/own)" = mine ] || echo "SUCCEEDED: not even its own disk" >&2',
    '(echo x > /disks/new) 2>/dev/null && echo "SUCCEEDED: make a file among the disks" >&2'];
  // The script is no pid 1 here: ending all others would end the script, and nobody else.
  const attack = attackScript({ files: [...files, '/etc/shadow', folder], sockets: [], processes: [process.pid], listener: { address: '127.0.0.1', port: 22 } }).split('\n').filter((line) => !line.includes('kill -9 -1'));
  const script = [...bounded, ...attack].join('\n');
  const contents = jailContents(kernel);
  await startVmm(await launcherOf(), folder, {
    uid: 9_193_001, cgroups: [], ...contents, readable: [...contents.readable, { source: '/bin/busybox' }], devices: ['/dev/null', '/dev/zero', '/dev/urandom'], descriptors: [{ kind: 'console' }, { kind: 'line' }],
    processes: 256, traces: true, memory: { path: '/dev/shm', bytes: 1024 * 1024 }, mounted: { folder: '/disks', disks: [{ name: 'own', path: disk, readOnly: true }] }, program: '/bin/busybox', argv: ['sh', '-c', script],
  });
  const exit = await waitUntil(() => readExitRecord(folder), { what: 'the attack is over', limitMs: 30_000 });
  equal(exit.stderr.trim(), finished);
  for (const path of files) equal(await readFile(path, 'utf8'), 'secret');
});

const launcherOf = async (): Promise<string> => (await import('../launcher/index.ts')).ensureLauncher(instance);

test('[U7] killed in full swing, no process and no file of the guest is left on the host', async () => {
  const { machine, uid } = await startBusyGuest();
  await signalProcess(machine.process, 'SIGKILL');
  equal((await machine.exited).signal, 'SIGKILL');
  await noneLeft(uid);
  deepEqual(await hostFiles(), []);
});

test('[U7] the keeper killed in full swing: the same', async () => {
  const { machine, spec, uid } = await startBusyGuest();
  const record = await readKeeperRecord(umlPlaces(instance, spec.id).runFolder);
  ok(record !== undefined);
  await signalProcess(record.keeper, 'SIGKILL');
  equal((await machine.exited).signal, 'SIGKILL');
  await noneLeft(uid);
  deepEqual(await hostFiles(), []);
});

test('[U7] UML crashing in full swing, by a signal and by its guest\'s panic: the same', async () => {
  const first = await startBusyGuest();
  process.kill(await programOf(first.machine), 'SIGKILL');
  equal((await first.machine.exited).code, 128 + 9);
  await noneLeft(first.uid);
  const second = await startBusyGuest();
  await second.agent.call('fileWrite', { container: '', path: '/proc/sysrq-trigger', content: Buffer.from('c').toString('base64'), mode: 0o600, append: false }, { timeoutMs: 60_000 }).catch(() => undefined); // the line goes with it
  const exit = await second.machine.exited;
  ok(exit.code !== 0, 'a panic is no orderly end');
  await noneLeft(second.uid);
  deepEqual(await hostFiles(), []);
});

test('[U8] the kernel out of memory for the machine: it ends or goes on, and nothing of it is left', async (t) => {
  const { machine, agent, spec, uid } = await startBusyGuest();
  const limit = await limitMemory(spec.id);
  if (!limit) return t.skip('this host has no memory controller for us');
  await run(agent, `${shell} dd if=/dev/zero of=/tmp/fill bs=1M count=100`, false);
  await endWithin(machine, 8000);
  await machine.kill();
  await noneLeft(uid);
  deepEqual(await hostFiles(), []);
});

/** Lets the machine have 8 MiB more than it has; false where the host does not let us. */
async function limitMemory(id: string): Promise<boolean> {
  for (const [base, usage, limit] of [['/sys/fs/cgroup/memory', 'memory.usage_in_bytes', 'memory.limit_in_bytes'], ['/sys/fs/cgroup', 'memory.current', 'memory.max']] as const) {
    const folder = join(base, `strata-${instance.name}`, id);
    const used = await readFile(join(folder, usage), 'utf8').catch(() => undefined);
    if (used === undefined) continue;
    await writeFile(join(folder, limit), String(Number(used) + 8 * 1024 * 1024));
    return true;
  }
  return false;
}

test('[U9] the guest has no way to the files of its jail', async () => {
  const { agent } = await start();
  const filesystems = Buffer.from((await agent.call('fileRead', { container: '', path: '/proc/filesystems', offset: 0, length: 10_000 })).content, 'base64').toString();
  ok(filesystems.includes('ext4'));
  equal(filesystems.includes('hostfs'), false);
});

test('[U10] the power button asks the guest, which powers off by itself', async () => {
  const { machine } = await start();
  await machine.pressPowerButton();
  const exit = await endWithin(machine, 20_000);
  deepEqual([exit?.code, exit?.signal], [0, null]);
});

test('[U11] a disk that names another file in UML\'s own way is refused; a disk goes from one machine to another, its file keeps its owner', async () => {
  const make = async (name: string, begin: Buffer) => {
    const path = join(root, `${name}.raw`);
    const file = await open(path, 'wx', 0o600);
    try { await file.write(begin); await file.truncate(4 * 1024 * 1024); } finally { await file.close(); }
    return { serial: name, path, format: 'raw', readOnly: false } as const;
  };
  const cow = await make('cow', cowHeader('/disks/secret'));
  await rejects(start({ disks: [cow] }), { code: 'machine.diskNotRaw' });
  const disk = await make('plain', Buffer.from('x'));
  const first = await start({ disks: [disk] });
  await first.agent.call('awaitDisks', { serials: ['plain'], timeoutMs: 10_000 });
  const second = await start();
  await rejects(second.machine.attachDisk(cow), { code: 'machine.diskNotRaw' });
  deepEqual(await second.machine.disks(), []);
  await first.machine.detachDisk('plain');
  await second.machine.attachDisk(disk);
  deepEqual(await second.machine.disks(), ['plain']);
  equal((await stat(disk.path)).uid, 0, 'the file keeps its owner');
});

/** UML's own copy-on-write format, version 3, naming a backing file. */
function cowHeader(backing: string): Buffer {
  const header = Buffer.alloc(8192);
  header.writeUInt32BE(0x4f4f4f4d, 0);
  header.writeUInt32BE(3, 4);
  header.write(backing, 32, 'latin1');
  return header;
}

test('[U12] a disk that a machine of QEMU may write is refused, and QEMU refuses one that a machine of UML may write, open or not', async () => {
  const qemu = openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg' });
  const disks = await Promise.all(['of-qemu', 'of-uml'].map(async (serial) => {
    const path = join(root, `${serial}.raw`);
    const file = await open(path, 'wx', 0o600);
    try { await file.truncate(4 * 1024 * 1024); } finally { await file.close(); }
    return { serial, path, format: 'raw' as const, readOnly: false };
  }));
  const [ofQemu, ofUml] = disks as [MachineDisk, MachineDisk];
  const spec = testMachine({ engine: 'qemu', architecture: 'x86_64', network: null, scratchMiB: 0, memoryMiB: 128 });
  const other = await qemu.start(spec);
  try {
    await other.attachDisk(ofQemu);
    const { machine, agent } = await start();
    await rejects(machine.attachDisk(ofQemu), { code: 'machine.diskLocked', kind: 'conflict' });
    await rejects(machine.attachDisk({ ...ofQemu, readOnly: true }), { code: 'machine.diskLocked' });
    deepEqual(await machine.disks(), []);
    await machine.attachDisk(ofUml);
    await rejects(other.attachDisk(ofUml), { code: 'machine.diskLocked' });
    await rejects(other.attachDisk({ ...ofUml, readOnly: true }), { code: 'machine.diskLocked' });
    await agent.call('awaitDisks', { serials: [ofUml.serial], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
    const holds = agent.openStream();
    const said = once(holds.output, 'data');
    holds.done.catch(() => undefined);
    await agent.call('exec', { container: '', stream: holds.id, argv: ['/bin/sh', '-c', 'for disk in /dev/ubd?; do dd if=$disk of=/dev/null bs=512 count=1 2>/dev/null && exec 3<>$disk; done; echo opened; exec sleep 60'], env: ['PATH=/bin'], cwd: '', user: '', tty: null, stdin: true });
    match(String((await said)[0]), /opened/);
    await rejects(other.attachDisk(ofUml), { code: 'machine.diskLocked' });
    await other.detachDisk(ofQemu.serial);
    await machine.attachDisk(ofQemu);
    await machine.detachDisk(ofQemu.serial);
    await machine.kill();
    await other.attachDisk(ofUml);
  } finally {
    await other.kill();
    await other.release();
    await qemu.erase(spec.id);
  }
});

test('[U20] a disk that is only read is handed to several machines, also while their guests have it open; to none that would write', async () => {
  const path = join(root, 'read.raw');
  const file = await open(path, 'wx', 0o600);
  try { await file.truncate(1024 * 1024); } finally { await file.close(); }
  const disk: MachineDisk = { serial: 'read', path, format: 'raw', readOnly: true };
  for (let number = 0; number < 2; number += 1) {
    const { machine, agent } = await start();
    if (number > 0) await rejects(machine.attachDisk({ ...disk, readOnly: false }), { code: 'machine.diskLocked' });
    await machine.attachDisk(disk);
    await agent.call('awaitDisks', { serials: [disk.serial], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
    const holds = agent.openStream();
    const said = once(holds.output, 'data');
    holds.done.catch(() => undefined);
    await agent.call('exec', { container: '', stream: holds.id, argv: ['/bin/sh', '-c', 'for disk in /dev/ubd?; do dd if=$disk of=/dev/null bs=512 count=1 2>/dev/null && exec 3<$disk && echo opened; done; exec sleep 60'], env: ['PATH=/bin'], cwd: '', user: '', tty: null, stdin: true });
    match(String((await said)[0]), /opened/);
  }
  const qemu = openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg' });
  const spec = testMachine({ engine: 'qemu', architecture: 'x86_64', network: null, scratchMiB: 0, memoryMiB: 128, disks: [disk] });
  await rejects(qemu.start({ ...spec, disks: [{ ...disk, readOnly: false }] }), { code: 'machine.diskLocked' });
  const other = await qemu.start(spec);
  try {
    deepEqual(await other.disks(), [disk.serial]);
    await other.detachDisk(disk.serial);
    await rejects(other.attachDisk({ ...disk, readOnly: false }), { code: 'machine.diskLocked' });
    await other.attachDisk(disk);
    const { machine } = await start();
    await machine.attachDisk(disk);
    deepEqual(await machine.disks(), [disk.serial]);
  } finally {
    await other.kill();
    await other.release();
    await qemu.erase(spec.id);
  }
});
