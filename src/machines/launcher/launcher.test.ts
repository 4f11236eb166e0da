/** The launcher and its keeper, with shell scripts in the place of VMMs: real namespaces, real processes. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { hostArchitecture, isAlive, runProcess, signalProcess, waitUntil } from '#base';
import { isHeld, measureTsc, readConsoleRing, readKeeperRecord } from './index.ts';
import { whileBusy } from '../testing/while-busy.ts';
import { heapLibraryOf } from './ensure-launcher.ts';
import { attackScript, finished } from './testing/attack-script.ts';
import { openLaunchTest, residentKb, standInUid, statusField, type LaunchTest } from './testing/stand-in-vmm.ts';

let it: LaunchTest;
beforeEach(async () => { it = await openLaunchTest(); });
afterEach(async () => { await it.close(); });

const forever = 'exec /bin/busybox sleep 1000';

/** Without what the shell adds. */
const environmentOf = async (pid: number): Promise<readonly string[]> => (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0').filter((one) => one !== '' && !/^(PWD|SHLVL)=/.test(one)).sort();

test('[J1] a VMM has its own uid and namespaces, no capability, no way to gain one', async () => {
  const { vmm, keeper } = await it.start(forever);
  const field = (name: string) => statusField(vmm.pid, name);
  const own = String(standInUid);
  deepEqual((await field('Uid')).split('\t'), [own, own, own, own]);
  deepEqual((await field('Gid')).split('\t'), [own, own, own, own]);
  equal(await field('Groups'), '');
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) equal(Number.parseInt(await field(set), 16), 0, set);
  deepEqual([await field('NoNewPrivs'), await field('Seccomp')], ['1', '2']);
  equal((await field('NSpid')).split('\t').pop(), '1');
  for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts']) {
    ok(await readlink(`/proc/${vmm.pid}/ns/${kind}`) !== await readlink(`/proc/self/ns/${kind}`), `its own ${kind} namespace`);
  }
  const killOnly = 1 << 5; // without CAP_KILL the kernel would not let the keeper's death end the VMM
  deepEqual(await Promise.all(['CapPrm', 'CapEff', 'CapBnd'].map(async (set) => Number.parseInt(await statusField(keeper.pid, set), 16))), [killOnly, killOnly, 0]);
  match(await readFile(`/proc/${vmm.pid}/limits`, 'utf8'), /Max core file size\s+0\s+0/);
});

test('[J2] a VMM has the descriptors it was given and no other, and nothing of our environment', async () => {
  const disk = join(it.root, 'disk.raw');
  await writeFile(disk, 'x');
  const { vmm } = await it.start(forever, { descriptors: [{ kind: 'listen', name: 's' }, { kind: 'disk-ro', path: disk }] });
  const names = (await readdir(`/proc/${vmm.pid}/fd`)).map(Number).sort((a, b) => a - b);
  deepEqual(names, [0, 1, 2, 3, 4, 5]);
  const targets = await Promise.all(names.map((name) => readlink(`/proc/${vmm.pid}/fd/${name}`)));
  match(targets.join(' '), /^\/null pipe:\S+ pipe:\S+ socket:\S+ socket:\S+ \/.*disk\.raw$/);
  deepEqual(await environmentOf(vmm.pid), ['LC_ALL=C', 'PATH=/usr/bin']);
});

test('[J20] a VMM that is to boot a kernel gets huge pages for what it allocates in large pieces; others have nothing to do with it', async () => {
  const { vmm } = await it.start(forever, { hugeHeap: true });
  deepEqual(await environmentOf(vmm.pid), ['GLIBC_TUNABLES=glibc.malloc.hugetlb=1', 'LC_ALL=C', 'PATH=/usr/bin']);
});

test('[J20] a VMM whose heap is kept sees what keeps it, and nothing more', async () => {
  const { vmm } = await it.start(forever, { keptHeap: true });
  deepEqual(await environmentOf(vmm.pid), ['LC_ALL=C', 'LD_PRELOAD=/heap.so', 'PATH=/usr/bin']);
  deepEqual(await readFile(`/proc/${vmm.pid}/root/heap.so`), await readFile(heapLibraryOf(it.launcher)));
});

test('[J20] memory that is a file\'s lies in huge pages, where the host has them, and is bounded', async () => {
  const { vmm } = await it.start(forever, { memory: { path: '/memory', bytes: 8 * 1024 * 1024 } });
  const mount = (await readFile(`/proc/${vmm.pid}/mounts`, 'utf8')).split('\n').find((line) => line.startsWith('memory ')) ?? '';
  match(mount, existsSync('/sys/kernel/mm/transparent_hugepage/shmem_enabled') ? /^memory \/memory tmpfs \S*size=8192k\S*huge=always/ : /^memory \/memory tmpfs \S*size=8192k/);
});

test('[J22] nobody waits in a VMM for a connection that another of its threads has taken', async () => {
  const { vmm } = await it.start(forever, { descriptors: [{ kind: 'listen', name: 's' }, { kind: 'listen-shared', name: 't' }] });
  for (const fd of [4, 5]) match(await readFile(`/proc/${vmm.pid}/fdinfo/${fd}`, 'utf8'), /^flags:\t0*[0-7]?[4-7]\d{3}$/m, 'O_NONBLOCK is 04000');
});

test('[J3] an attack with the VMM\'s rights is denied everything', async () => {
  const files = [join(it.root, 'other-disk.raw'), join(it.root, 'store.db')];
  for (const path of files) await writeFile(path, 'secret', { mode: 0o666 });
  const socketPath = join(it.root, 'api.sock');
  const server = createServer((socket) => socket.end('welcome')).listen(socketPath);
  const network = createServer((socket) => socket.end('welcome')).listen(0, '127.0.0.1');
  await Promise.all([server, network].map((one) => once(one, 'listening')));
  const address = network.address();
  ok(address !== null && typeof address === 'object');
  const listener = { address: '127.0.0.1', port: address.port };
  try {
    const record = await it.start(attackScript({ files: [...files, '/etc/shadow', '/etc/hostname', it.folder], sockets: [socketPath], processes: [process.pid], listener }));
    const exit = await it.ended(record);
    equal(exit?.stderr.trim(), finished);
    for (const path of files) equal(await readFile(path, 'utf8'), 'secret');
  } finally {
    server.close();
    network.close();
  }
});

test('[J3] the attack script is no paper tiger: outside the jail its attempts succeed', async () => {
  const file = join(it.root, 'mine');
  await writeFile(file, 'x');
  const script = attackScript({ files: [file], sockets: [], processes: [process.pid], listener: { address: '127.0.0.1', port: 1 } }).split('\n')
    .filter((line) => /read |write \/tmp|signal |see \d|see processes|all tried/.test(line));
  const { stderr } = await runProcess(['/bin/busybox', 'sh', '-c', script.join('\n')]);
  match(stderr, /SUCCEEDED: read .*mine\nSUCCEEDED: write .*mine\nSUCCEEDED: signal \d+\nSUCCEEDED: see \d+\nSUCCEEDED: see processes\n/);
});

test('[J4] the exit code, the signal and the last words are kept', async () => {
  const first = await it.ended(await it.start('echo "disk is on \\"fire\\"" >&2; exit 7'));
  deepEqual([first?.code, first?.signal, first?.stderr], [7, null, 'disk is on "fire"\n']);
  ok(Math.abs((first?.at ?? 0) - Date.now()) < 10_000);
  const second = await it.start('/bin/busybox yes 0123456789 | /bin/busybox head -c 100000 >&2; echo the end >&2; exec /bin/busybox sleep 1000');
  await waitUntil(async () => (await statusField(second.vmm.pid, 'Name')) === 'busybox', { what: 'it sleeps', limitMs: 5000 });
  await signalProcess(second.vmm, 'SIGKILL');
  const exit = await it.ended(second);
  deepEqual([exit?.code, exit?.signal], [null, 'SIGKILL']);
  ok((exit?.stderr.length ?? 0) <= 4096);
});

test('[J5] a keeper outlives its starter', async () => {
  const program = `
    import { startVmm } from '${import.meta.dirname}/index.ts';
    const record = await startVmm(${JSON.stringify(it.launcher)}, ${JSON.stringify(it.folder)}, { uid: ${standInUid}, cgroups: [], readable: [{ source: '/bin/busybox' }], links: [], devices: [], descriptors: [{ kind: 'console' }], program: '/bin/busybox', argv: ['sleep', '1000'] });
    process.kill(process.pid, 'SIGKILL');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit', detached: true });
  const [, signal] = await once(child, 'exit');
  equal(signal, 'SIGKILL');
  const record = await readKeeperRecord(it.folder);
  ok(record !== undefined && await isAlive(record.vmm) && await isAlive(record.keeper));
  ok(await isHeld(it.launcher, it.folder));
  await signalProcess(record.vmm, 'SIGTERM'); // pid 1 of a namespace ignores what it does not handle
  await signalProcess(record.vmm, 'SIGKILL');
  equal((await it.ended(record))?.signal, 'SIGKILL');
});

test('[J5] a keeper that is killed takes the VMM and all its processes with it', async () => {
  const record = await it.start(`/bin/busybox sleep 1000 & /bin/busybox sleep 1000 & ${forever}`);
  const inNamespace = async () => (await runProcess(['pgrep', '--runstates', 'R,S,D', '-u', String(standInUid)], { okCodes: [0, 1] })).stdout.split('\n').filter((one) => one !== '').length;
  await waitUntil(async () => (await inNamespace()) === 3, { what: 'three processes run', limitMs: 5000 });
  await signalProcess(record.keeper, 'SIGKILL');
  await waitUntil(async () => (await inNamespace()) === 0, { what: 'none is left', limitMs: 5000 });
  equal(await isHeld(it.launcher, it.folder), false);
});

test('[J6] a flood on the console leaves a small ring, a small keeper and a VMM that was never blocked', async () => {
  const { keeper, vmm } = await it.start('read start <&3; /bin/busybox yes 0123456789abcde | /bin/busybox head -c 104857600 >&3; echo the very end >&3; exec /bin/busybox sleep 1000');
  const slow = connect(join(it.folder, 'c')); // never reads
  slow.pause();
  slow.on('error', () => undefined);
  await once(slow, 'connect');
  const before = await residentKb(keeper.pid);
  slow.write('go\n');
  const end = async () => (await readConsoleRing(it.folder)).subarray(-50).includes('the very end');
  await waitUntil(end, { what: '100 MB are through', limitMs: 60_000, everyMs: 100 });
  ok((await residentKb(keeper.pid)) - before < 512, 'the keeper did not grow');
  ok((await stat(join(it.folder, 'console'))).size <= 1024 * 1024);
  const ring = await readConsoleRing(it.folder);
  ok(ring.length > 1024 * 1024 - 32);
  match(ring.subarray(-200).toString(), /^[0-9a-e\n]+the very end\n$/);
  let seen = '';
  slow.on('data', (chunk) => { seen = (seen + String(chunk)).slice(-400); });
  slow.resume();
  await waitUntil(() => seen !== '' && slow.readableLength === 0, { what: 'the slow client has read', limitMs: 5000 });
  slow.destroy();
  ok(await isAlive(vmm));
});

test('[J6] a client that read too slowly is told', async () => {
  await it.start('read start <&3; /bin/busybox yes | /bin/busybox head -c 5000000 >&3; while read line <&3; do echo "again $line" >&3; done');
  const client = connect(join(it.folder, 'c'));
  await once(client, 'connect');
  client.pause();
  client.write('go\n');
  await waitUntil(async () => (await readConsoleRing(it.folder)).length > 1_000_000, { what: 'it printed', limitMs: 10_000 });
  let seen = '';
  client.on('data', (chunk) => { seen += String(chunk); });
  client.resume();
  await waitUntil(() => { if (!seen.includes('again')) client.write('and on\n'); return seen.includes('again'); }, { what: 'the client reads again', limitMs: 10_000, everyMs: 100 });
  ok(seen.includes('[output was dropped: this client reads too slowly]'));
  client.destroy();
});

test('[J7] clients of the console read and write; a fifth is sent away', async () => {
  await it.start('while read line <&3; do echo "you said $line" >&3; done');
  const clients = await Promise.all([1, 2, 3, 4].map(async () => {
    const client = connect(join(it.folder, 'c'));
    await once(client, 'connect');
    return client;
  }));
  const said = clients.map(() => '');
  clients.forEach((client, at) => client.on('data', (chunk) => { said[at] += String(chunk); }));
  await waitUntil(async () => (await readConsoleRing(it.folder)).includes('you said hello') || void clients[2]?.write('hello\n'), { what: 'it answers', limitMs: 5000, everyMs: 50 });
  await waitUntil(() => said.every((text) => text.includes('you said hello')), { what: 'all clients read', limitMs: 5000 });
  const fifth = connect(join(it.folder, 'c'));
  const [refusal] = await once(fifth, 'data');
  match(String(refusal), /has its 4 clients/);
  for (const client of [...clients, fifth]) client.destroy();
});

test('[J8] a second start in the same folder is refused and disturbs nothing', async () => {
  const record = await it.start(forever);
  await rejects(it.start(forever), { code: 'machine.alreadyRuns', kind: 'conflict' });
  ok(await isAlive(record.vmm));
  deepEqual(await readKeeperRecord(it.folder), record);
});

test('[J9] a start that fails says why and leaves no process', async () => {
  const missing = join(it.root, 'missing.raw');
  await rejects(it.start(forever, { descriptors: [{ kind: 'disk-ro', path: missing }] }), (error: Error) => { match(error.message, /cannot open the disk .*missing\.raw: No such file/); return true; });
  await rejects(it.start(forever, { descriptors: [{ kind: 'disk-ro', path: '/dev/null' }] }), /neither a file nor a block device/);
  await rejects(it.start(forever, { descriptors: [{ kind: 'tap', name: 'no/such' }] }), /cannot open the tap/);
  await rejects(it.start(forever, { descriptors: [{ kind: 'listen', name: '../s' }] }), /no name of a socket/);
  equal(await isHeld(it.launcher, it.folder), false);
  equal((await runProcess(['pgrep', '-f', it.folder], { okCodes: [0, 1] })).stdout, '');
});

test('[J10] a bad description starts nothing', async () => {
  const refuse = (input: string, why: RegExp) => rejects(runProcess([it.launcher, 'run', it.folder], { input }), why);
  await refuse('', /empty, too long or cut off/);
  await refuse('uid\x00100000\x00program', /empty, too long or cut off/);
  await refuse('uid\x00100000\x00gid\x00', /has no value/);
  await refuse('uid\x000\x00gid\x000\x00program\x00/bin/sh\x00argument\x00sh\x00', /at least 100000/);
  await refuse('uid\x00-1\x00', /no number/);
  await refuse(`${'argument\x00x\x00'.repeat(400)}`, /too many arguments/);
  await refuse('x\x00'.repeat(200_000), /too long/);
  await refuse('uid\x00100000\x00gid\x00100000\x00bind\x00/etc\t/../x\x00program\x00/bin/sh\x00argument\x00sh\x00', /no place in a jail/);
  await rejects(it.start(forever, { uid: 1000 }), /at least 100000/);
});

if (hostArchitecture === 'x86_64') test('[J19] the speed of the time-stamp counter is the same to a thousandth, whatever else the host does', async () => {
  const quiet = await measureTsc(it.launcher);
  await whileBusy(6, async () => {
    for (let at = 0; at < 10; at += 1) ok(Math.abs(await measureTsc(it.launcher) - quiet) < quiet / 1000);
  });
});
