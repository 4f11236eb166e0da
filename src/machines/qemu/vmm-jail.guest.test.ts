/** Running VMMs, looked at from outside and attacked from inside. Most of these need no guest that is up, only a VMM. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { isAlive, runProcess, signalProcess, silentLog, systemClock, waitUntil, type Instance } from '#base';
import type { RunningMachine } from '../engine.ts';
import { ensureGuestOs, type GuestOs } from '../guest-os/ensure-guest-os.ts';
import { readKeeperRecord, startVmm } from '../launcher/index.ts';
import { attackScript, finished } from '../launcher/testing/attack-script.ts';
import { residentKb, statusField } from '../launcher/testing/stand-in-vmm.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { runName, testTaps } from '../testing/test-taps.ts';
import { askForLife } from '../vmm/ask-for-life.ts';
import { openQemuEngine, type QemuEngine } from './index.ts';
import { jailContents } from './jail-contents.ts';
import { machinePlaces } from './machine-places.ts';
import { connectQmp } from './qmp/qmp-connection.ts';

let root: string;
let instance: Instance;
let engine: QemuEngine;
let kernel: GuestOs;
const specs: MachineSpec[] = [];
const machines: RunningMachine[] = [];

const name = runName('j');
const network = testTaps(name);

before(async () => {
  root = await mkdtemp('/tmp/strata-j-');
  instance = { name, stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 214 };
  kernel = await ensureGuestOs('x86_64', { instance });
  engine = openEngine();
});
afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.release();
  for (const spec of specs.splice(0)) await engine.erase(spec.id);
});
after(async () => { await rm(root, { recursive: true, force: true }); });

const openEngine = (): QemuEngine => openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), network });

function specOf(changes: Partial<MachineSpec> = {}): MachineSpec {
  const spec = testMachine({ network: null, scratchMiB: 0, memoryMiB: 128, ...changes });
  specs.push(spec);
  return spec;
}

async function start(spec: MachineSpec): Promise<RunningMachine> {
  const machine = await engine.start(spec);
  machines.push(machine);
  return machine;
}

let disks = 0;
async function newDisk(more: Partial<MachineDisk> = {}): Promise<MachineDisk> {
  const number = disks += 1;
  const path = join(root, `${number}.raw`);
  const file = await open(path, 'wx', 0o600);
  try { await file.truncate(1024 * 1024); } finally { await file.close(); }
  return { serial: `v-${number}`, path, format: 'raw', readOnly: false, ...more };
}

test('[Q16] a running VMM is confined: uid, capabilities, seccomp, namespaces, root, descriptors, control groups', async () => {
  const disk = await newDisk();
  const spec = specOf({ network: { mac: '02:00:0a:d6:00:05', address: '10.214.0.5' }, disks: [disk] });
  const machine = await start(spec);
  const other = await start(specOf());
  const { pid } = machine.process;
  const hugePages = ['kernel/mm/transparent_hugepage/enabled', 'kernel/mm/transparent_hugepage/hpage_pmd_size'].filter((path) => existsSync(`/sys/${path}`));
  const uid = Number((await statusField(pid, 'Uid')).split('\t')[0]);
  ok(uid >= 100_000);
  ok(Number((await statusField(other.process.pid, 'Uid')).split('\t')[0]) !== uid);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) equal(Number.parseInt(await statusField(pid, set), 16), 0, set);
  deepEqual([await statusField(pid, 'NoNewPrivs'), await statusField(pid, 'Seccomp'), await statusField(pid, 'Seccomp_filters')], ['1', '2', '2']);
  for (const thread of await readdir(`/proc/${pid}/task`)) match(await readFile(`/proc/${pid}/task/${thread}/status`, 'utf8'), /CapEff:\s+0+\n[\s\S]*NoNewPrivs:\s+1\nSeccomp:\s+2\n/);
  for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts']) {
    const own = await readlink(`/proc/${pid}/ns/${kind}`);
    ok(own !== await readlink(`/proc/self/ns/${kind}`) && own !== await readlink(`/proc/${other.process.pid}/ns/${kind}`), kind);
  }
  deepEqual((await readdir(`/proc/${pid}/root`)).filter((name) => !['lib', 'lib64'].includes(name)).sort(), ['copyable.so', 'dev', 'etc', 'initramfs', 'kernel', ...(hugePages.length === 0 ? [] : ['sys']), 'usr']);
  deepEqual((await readdir(`/proc/${pid}/root/sys`, { recursive: true }).catch(() => [])).filter((path) => !/^kernel(\/mm(\/transparent_hugepage)?)?$/.test(path)).sort(), hugePages, 'what the C library asks for');
  deepEqual((await readdir(`/proc/${pid}/root/dev`)).sort(), ['null', 'urandom', 'zero']);
  deepEqual(await readdir(`/proc/${pid}/root/etc`), ['ld.so.cache']);
  const open = await Promise.all((await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => 'socket:')));
  const allowed = /^(socket:|pipe:|anon_inode:\[(eventfd|signalfd|eventpoll|timerfd|userfaultfd)\]|\/null$|.*\/dev\/net\/tun$)/;
  deepEqual([...new Set(open.filter((target) => !allowed.test(target)))], [disk.path]);
  equal(open.filter((target) => target.endsWith('/dev/net/tun')).length, 1);
  equal((await readFile(`/sys/class/net/${network.nameOf(spec.id)}/carrier`, 'utf8')).trim(), '1', 'the tap has its VMM');
  for (const line of (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').filter((one) => /:(memory|pids):/.test(one))) ok(line.endsWith(`/strata-${instance.name}/${spec.id}`), line);
});

test('[Q17] a captured VMM reaches nothing: the attack script in QEMU\'s own jail', async () => {
  const other = specOf({ scratchMiB: 16 });
  const victim = await start(other);
  const places = machinePlaces(instance, other.id);
  const secret = join(root, 'store.db');
  await writeFile(secret, 'secret', { mode: 0o666 });
  const socketPath = join(instance.runDir, 'api.sock');
  const server = createServer((socket) => socket.end('welcome')).listen(socketPath);
  const listener = createServer((socket) => socket.end('welcome')).listen(0, '127.0.0.1');
  await Promise.all([server, listener].map((one) => once(one, 'listening')));
  const address = listener.address();
  ok(address !== null && typeof address === 'object');
  const folder = machinePlaces(instance, 'attacker').runFolder;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const contents = jailContents('x86_64', kernel);
    const script = attackScript({
      files: [places.scratch, secret, '/etc/shadow', '/etc/passwd', '/kernel', '/usr/bin/qemu-system-x86_64'].filter((path) => !path.startsWith('/usr') && path !== '/kernel'),
      sockets: [socketPath, places.monitor, places.agent, places.console], processes: [process.pid, victim.process.pid], listener: { address: '127.0.0.1', port: address.port },
    });
    const { launcher } = await launcherOf();
    const record = await startVmm(launcher, folder, {
      uid: 9_000_002, cgroups: [], readable: [...contents.readable, { source: '/bin/busybox' }], links: contents.links, devices: ['/dev/null', '/dev/zero', '/dev/urandom'],
      descriptors: [{ kind: 'console' }], program: '/bin/busybox', argv: ['sh', '-c', script],
    });
    await waitUntil(async () => !(await isAlive(record.keeper)), { what: 'the attack is over', limitMs: 60_000 });
    const exit = JSON.parse(await readFile(join(folder, 'exit.json'), 'utf8')) as { stderr: string };
    equal(exit.stderr.trim(), finished);
    ok(await isAlive(victim.process));
  } finally {
    server.close();
    listener.close();
    await rm(folder, { recursive: true, force: true });
  }
});

async function launcherOf(): Promise<{ launcher: string }> {
  const { ensureLauncher } = await import('../launcher/index.ts');
  return { launcher: await ensureLauncher(instance) };
}

test('[Q17] who holds the monitor holds one VMM, not the host: no file, no program, no network', async () => {
  const spec = specOf();
  const machine = await start(spec);
  const qmp = await connectQmp(machinePlaces(instance, spec.id).passing);
  try {
    for (const [command, parameters] of [
      ['blockdev-add', { driver: 'file', 'node-name': 'x', filename: '/etc/shadow', 'read-only': true }],
      ['blockdev-add', { driver: 'host_device', 'node-name': 'x', filename: '/dev/vda', 'read-only': true }],
      ['blockdev-add', { driver: 'nbd', 'node-name': 'x', server: { type: 'inet', host: '127.0.0.1', port: '22' } }],
      ['chardev-add', { id: 'x', backend: { type: 'file', data: { out: '/usr/lib/x' } } }],
      ['chardev-add', { id: 'x', backend: { type: 'socket', data: { addr: { type: 'inet', data: { host: '127.0.0.1', port: '9' } }, server: false } } }],
      ['pmemsave', { val: 0, size: 4096, filename: '/memory' }],
      ['screendump', { filename: '/screen' }],
      ['netdev_add', { type: 'tap', id: 'x' }],
    ] as const) await rejects(qmp.execute(command, parameters), { code: 'qmp.refused' }, command);
    // Last, because QEMU's sandbox ends a VMM that tries to start a program.
    await qmp.execute('migrate', { uri: 'exec:/usr/bin/touch /tmp/escaped' }).catch(() => undefined);
    equal((await machine.exited).signal, 'SIGSYS');
  } finally {
    qmp.close();
  }
});

test('[Q18] a VMM that hangs is unknown, not gone, and is not started twice; erase ends it', async () => {
  const spec = specOf();
  const machine = await engine.start(spec);
  await machine.release();
  await signalProcess(machine.process, 'SIGSTOP');
  const found = await openEngine().adopt(spec);
  ok(found.found === 'unknown', found.found);
  match(found.why, /did not greet within/);
  await rejects(openEngine().start(spec), { code: 'machine.alreadyRuns', kind: 'conflict' });
  await engine.erase(spec.id);
  equal(await isAlive(machine.process), false);
});

test('[Q19] the death of the keeper is the death of the machine, and is noticed', async () => {
  const spec = specOf();
  const machine = await start(spec);
  const record = await readKeeperRecord(machinePlaces(instance, spec.id).runFolder);
  ok(record !== undefined);
  ok(await residentKb(record.keeper.pid) < 2048, 'the keeper is small');
  await signalProcess(record.keeper, 'SIGKILL');
  const exit = await machine.exited;
  deepEqual([exit.code, exit.signal], [null, 'SIGKILL']);
  equal(await isAlive(machine.process), false);
  equal((await engine.adopt(spec)).found, 'gone');
});

test('[Q20] a disk has one writer: a second machine is told, and gets it when the first lets go', async () => {
  const disk = await newDisk();
  const [first, second] = [await start(specOf()), await start(specOf())];
  await first.attachDisk(disk);
  await rejects(second.attachDisk(disk), { code: 'machine.diskLocked', kind: 'conflict' });
  deepEqual(await second.disks(), []);
  await first.detachDisk(disk.serial);
  await second.attachDisk(disk);
  deepEqual(await second.disks(), [disk.serial]);
  const shared = await newDisk({ readOnly: true });
  await Promise.all([first.attachDisk(shared), second.attachDisk(shared)]);
});

test('[Q20] 60 disks come and go and no descriptor stays', async () => {
  const machine = await start(specOf());
  const many = await Promise.all(Array.from({ length: 60 }, () => newDisk({ readOnly: true })));
  await Promise.all(many.map((disk) => machine.attachDisk(disk)));
  equal((await machine.disks()).length, 60);
  await Promise.all(many.map((disk) => machine.detachDisk(disk.serial)));
  deepEqual(await machine.disks(), []);
  const open = await Promise.all((await readdir(`/proc/${machine.process.pid}/fd`)).map((fd) => readlink(`/proc/${machine.process.pid}/fd/${fd}`).catch(() => '')));
  deepEqual(open.filter((target) => target.endsWith('.raw')), []);
  const qmp = await connectQmp(machinePlaces(instance, machine.id).passing);
  deepEqual(await qmp.execute('query-fdsets'), []);
  qmp.close();
});

test('[Q8] a qcow2 file that names other files leads to none of them', async () => {
  const machine = await start(specOf());
  const backed = join(root, 'backed.qcow2');
  await runProcess(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', backed]);
  await machine.attachDisk({ serial: 'v-backed', path: backed, format: 'qcow2', readOnly: false });
  const data = join(root, 'data.qcow2');
  await runProcess(['qemu-img', 'create', '-q', '-f', 'qcow2', '-o', `data_file=${join(root, 'data.raw')},data_file_raw=on`, data, '1M']);
  await rejects(machine.attachDisk({ serial: 'v-data', path: data, format: 'qcow2', readOnly: false }), { code: 'qmp.refused' });
  const open = await Promise.all((await readdir(`/proc/${machine.process.pid}/fd`)).map((fd) => readlink(`/proc/${machine.process.pid}/fd/${fd}`).catch(() => '')));
  equal(open.some((target) => target.includes('passwd') || target.includes('data.raw')), false);
  deepEqual(await machine.disks(), ['v-backed']);
});

test('[Q21] a daemon killed in the middle of a start leaves what the next one finds or nothing', async () => {
  for (const [point, found] of [['machines.qemu.beforeLaunch', 'gone'], ['machines.qemu.afterLaunch', 'running']] as const) {
    const spec = specOf({ scratchMiB: 16, network: { mac: '02:00:0a:d6:00:06', address: '10.214.0.6' } });
    const program = `
      import { openQemuEngine } from '${import.meta.dirname}/index.ts';
      import { silentLog } from '${import.meta.dirname}/../../base/index.ts';
      const engine = openQemuEngine({ instance: ${JSON.stringify(instance)}, log: silentLog, guestOs: async () => (${JSON.stringify(kernel)}) });
      await engine.start(${JSON.stringify({ ...spec, network: null })});`;
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program], { stdio: 'inherit', env: { ...process.env, STRATA_FAILPOINTS: `${point}=kill` } });
    equal((await once(child, 'exit'))[1], 'SIGKILL');
    const one = await openEngine().adopt(spec);
    equal(one.found, found);
    if (one.found === 'running') machines.push(one.machine);
    else machines.push(await engine.start(spec));
  }
});

test('[Q22] a machine boots its own disk by firmware', async () => {
  const disk = await newDisk({ serial: 'os' });
  await writeFile(disk.path, bootSector('BOOTED FROM ITS OWN DISK\r\n'));
  const machine = await start(specOf({ boot: { kind: 'disk' }, disks: [disk] }));
  await waitUntil(async () => (await machine.consoleLog()).includes('BOOTED FROM ITS OWN DISK'), { what: 'the boot sector speaks', limitMs: 60_000, everyMs: 100 });
});

/** Real-mode code that prints a text on the first serial port and halts: 1 MiB, as a BIOS starts it. */
function bootSector(text: string): Buffer {
  const code = Buffer.from([
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, // cli; xor ax, ax; mov ds, ax
    0xbe, 0x40, 0x7c, //             mov si, 0x7c40
    0xba, 0xf8, 0x03, //             mov dx, 0x3f8
    0xac, 0x84, 0xc0, 0x74, 0x03, // lodsb; test al, al; jz halt
    0xee, 0xeb, 0xf8, //             out dx, al; jmp lodsb
    0xf4, 0xeb, 0xfd, //             halt: hlt; jmp halt
  ]);
  const sector = Buffer.alloc(1024 * 1024);
  code.copy(sector, 0);
  sector.write(`${text}\0`, 0x40, 'latin1');
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

test('[Q23] an accelerator is proved by a guest that ran, with a limit; nothing is left', async () => {
  const proofs = await engine.prove();
  deepEqual(proofs.map((proof) => `${proof.architecture} ${proof.accelerator}`), ['x86_64 kvm', 'x86_64 tcg', 'aarch64 tcg']);
  for (const proof of proofs) {
    if (proof.accelerator === 'tcg') ok(proof.works, proof.evidence);
    match(proof.evidence, proof.works ? /^guest answered after \d+\.\d s$/ : /./);
  }
  deepEqual(await readdir(join(instance.runDir, 'q')).catch(() => []), []);
});

test('[Q24] a guest that does not read what its console is flooded with harms neither host nor keeper, and its agent\'s line has one holder', async () => {
  const machine = await start(specOf());
  ok(await askForLife(machine, 60_000));
  const console = await machine.openConsole();
  console.on('error', () => undefined);
  for (let round = 0; round < 64; round += 1) console.write(Buffer.alloc(64 * 1024, 'x')); // more than the guest takes
  const record = await readKeeperRecord(machinePlaces(instance, machine.id).runFolder);
  await systemClock.wait(200);
  ok(record !== undefined && await residentKb(record.keeper.pid) < 2048);
  console.destroy();
  ok(await askForLife(machine, 30_000), 'the agent answers beside it');
  await rejects(async () => { await machine.openAgentLine(); await machine.openAgentLine(); }, { code: 'machine.lineBusy' });
  equal(existsSync(machinePlaces(instance, machine.id).runFolder), true);
});
