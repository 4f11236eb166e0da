/** A zygote and its copies, with a program of threads in the place of QEMU: it answers on its console. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { isAlive, runProcess, signalProcess, waitUntil, type Instance, type ProcessIdentity } from '#base';
import { ensureLauncher, readExitRecord, readKeeperRecord, settleZygote, startVmm, type KeeperRecord } from './index.ts';
import { residentKb, standInUid, statusField, tellsWrites } from './testing/stand-in-vmm.ts';

let root: string;
let launcher: string;
let program: string;
const records: KeeperRecord[] = [];

before(async () => {
  root = await mkdtemp('/tmp/strata-g-');
  const instance: Instance = { name: 'gtest', stateDir: root, runDir: root, cacheDir: '/var/cache/strata', subnet: 200 };
  launcher = await ensureLauncher(instance);
  program = join(root, 'program');
  await runProcess(['gcc', '-O1', '-Wall', '-Werror', '-o', program, join(import.meta.dirname, 'testing/zygote-program.c')], { timeoutMs: 60_000 });
});
// Each has a busy thread: what a test leaves would slow those after it, and whatever else runs here.
afterEach(async () => {
  for (const { vmm, keeper } of records.splice(0)) {
    await end(vmm);
    await waitUntil(async () => !(await isAlive(keeper)), { what: 'its keeper is gone', limitMs: 10_000 });
  }
});
after(() => rm(root, { recursive: true, force: true }));

async function end(process: ProcessIdentity): Promise<void> {
  await signalProcess(process, 'SIGKILL');
  await waitUntil(async () => !(await isAlive(process)), { what: 'it is gone', limitMs: 10_000 });
}

interface Running { readonly folder: string; readonly record: KeeperRecord }
let folders = 0;
async function newFolder(): Promise<string> {
  folders += 1;
  const folder = join(root, String(folders));
  await mkdir(folder, { mode: 0o700 });
  return folder;
}
const kept = (folder: string, record: KeeperRecord): Running => {
  records.push(record);
  return { folder, record };
};
const nothing = { cgroups: [], readable: [], links: [], devices: [], descriptors: [{ kind: 'console' as const }] };

async function startZygote(more: readonly string[] = []): Promise<Running> {
  const folder = await newFolder();
  return kept(folder, await startVmm(launcher, folder, { ...nothing, uid: 0, zygote: 'z', program, argv: [program, '-name', 'zygote'.padEnd(20, '-'), ...more] }));
}
async function settled(zygote: Running): Promise<Running> {
  await settleZygote(launcher, join(zygote.folder, 'z'));
  return zygote;
}
async function copy(zygote: Running, uid = standInUid): Promise<Running> {
  const folder = await newFolder();
  return kept(folder, await startVmm(launcher, folder, { ...nothing, uid, copyOf: { zygote: join(zygote.folder, 'z'), kept: 0 }, program: launcher, argv: ['copy-1'] }));
}

/** Says a word on the console, returns the line that comes back. */
function ask({ folder }: Running, word: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const console = connect({ path: join(folder, 'c') });
    let said = '';
    console.setTimeout(15_000, () => console.destroy(new Error(`no answer to ${word} but '${said}'`)));
    console.on('error', reject).on('close', () => resolve(said)).on('data', (bytes: Buffer) => {
      said += bytes.toString();
      if (!said.includes('\n')) return;
      console.destroy();
      resolve(said.trim());
    });
    console.on('connect', () => console.write(word));
  });
}

test('[J23] a copy goes on where the zygote stands, with all its threads, and neither hears of the other', { timeout: 120_000 }, async () => {
  const zygote = await settled(await startZygote());
  deepEqual([await ask(zygote, 'count'), await ask(zygote, 'count')], ['1 1 1', '2 2 2']);
  const first = await copy(zygote);
  deepEqual([await ask(first, 'count'), await ask(first, 'count')], ['3 3 3', '4 4 4']);
  const others = await Promise.all(Array.from({ length: 6 }, () => copy(zygote)));
  deepEqual(await Promise.all(others.map((one) => ask(one, 'count'))), others.map(() => '3 3 3'));
  equal(await ask(zygote, 'count'), '3 3 3');
  equal(await ask(await copy(zygote), 'count'), '4 4 4', 'of what it is now');
  equal((await readdir(`/proc/${first.record.vmm.pid}/task`)).length, 4, 'its three, and the one that made it');
  await end(zygote.record.vmm);
  equal(await ask(first, 'count'), '5 5 5', 'it needs no zygote');
});

test('[J23] copies draw random numbers of their own where QEMU has them from', { timeout: 60_000 }, async () => {
  const zygote = await settled(await startZygote());
  const first = await ask(zygote, 'draw');
  const drawn = [first, ...await Promise.all([await copy(zygote), await copy(zygote)].map((one) => ask(one, 'draw'))), await ask(zygote, 'draw')];
  for (const one of drawn) match(one, /^[0-9a-f]{32}$/);
  equal(new Set(drawn).size, drawn.length);
});

test('[J24] a copy is confined as a VMM that was started in its jail, and has nothing of the zygote\'s', { timeout: 60_000 }, async () => {
  const zygote = await settled(await startZygote());
  const one = await copy(zygote, standInUid + 1);
  const { vmm, keeper } = one.record;
  const field = (name: string) => statusField(vmm.pid, name);
  const own = String(standInUid + 1);
  deepEqual([await field('Uid'), await field('Gid'), await field('Groups')], [[own, own, own, own].join('\t'), [own, own, own, own].join('\t'), '']);
  for (const thread of await readdir(`/proc/${vmm.pid}/task`)) {
    const status = await readFile(`/proc/${vmm.pid}/task/${thread}/status`, 'utf8');
    match(status, new RegExp(`^Uid:\t${own}\t${own}\t${own}\t${own}$`, 'm'));
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) match(status, new RegExp(`^${set}:\t0+$`, 'm'));
    match(status, /^NoNewPrivs:\t1$/m);
    match(status, /^Seccomp_filters:\t3$/m, 'ours, QEMU\'s, and the zygote\'s own against rings');
  }
  equal((await field('NSpid')).split('\t').pop(), '1');
  for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts']) ok(await readlink(`/proc/${vmm.pid}/ns/${kind}`) !== await readlink(`/proc/self/ns/${kind}`), `its own ${kind} namespace`);
  const targets = await Promise.all((await readdir(`/proc/${vmm.pid}/fd`)).map((fd) => readlink(`/proc/${vmm.pid}/fd/${fd}`)));
  deepEqual(targets.map((target) => target.replace(/\[\d+\]$/, '')).sort(), ['/dev/null', 'anon_inode:[eventfd]', ...(tellsWrites ? ['anon_inode:[userfaultfd]'] : []), 'pipe:', 'pipe:', 'socket:']);
  const held = await Promise.all((await readdir(`/proc/${zygote.record.vmm.pid}/fd`)).map((fd) => readlink(`/proc/${zygote.record.vmm.pid}/fd/${fd}`)));
  deepEqual(targets.filter((target) => /\[\d+\]$/.test(target) && held.includes(target)), [], 'no pipe and no socket that is the zygote\'s too');
  deepEqual(await readdir(`/proc/${vmm.pid}/root`), []);
  equal(await ask(one, 'try'), 'open:ENOENT inet:EPERM mount:EPERM unshare:EPERM setuid:EPERM exec:EPERM fork:EPERM write:EROFS kill:ESRCH');
  equal((await readFile(`/proc/${vmm.pid}/cmdline`, 'utf8')).split('\0')[2], 'copy-1', 'lists of processes show which it is');
  const killOnly = 1 << 5;
  deepEqual(await Promise.all(['CapPrm', 'CapEff', 'CapBnd'].map(async (set) => Number.parseInt(await statusField(keeper.pid, set), 16))), [killOnly, killOnly, 0]);
  ok(await residentKb(keeper.pid) < 4096, 'its keeper is as small as any');
});

test('[J24] a copy\'s connections that were made for the zygote lead nowhere', { timeout: 60_000 }, async () => {
  const zygote = await settled(await startZygote(['connects']));
  const one = await copy(zygote);
  deepEqual([await ask(one, 'talk'), await ask(zygote, 'talk')], ['send:EPIPE', 'send:done']);
});

test('[J24] its end is written down, and it ends with its keeper', { timeout: 60_000 }, async () => {
  const zygote = await settled(await startZygote());
  const [one, other] = [await copy(zygote), await copy(zygote)];
  deepEqual(await readKeeperRecord(one.folder), one.record);
  await ask(one, 'leave');
  await waitUntil(async () => !(await isAlive(one.record.keeper)), { what: 'its keeper is gone', limitMs: 10_000 });
  const exit = await readExitRecord(one.folder);
  deepEqual([exit?.code, exit?.signal, exit?.stderr], [7, null, 'told to\n']);
  await signalProcess(other.record.keeper, 'SIGKILL');
  await waitUntil(async () => !(await isAlive(other.record.vmm)), { what: 'it ended with its keeper', limitMs: 10_000 });
  equal(await ask(zygote, 'count'), '1 1 1');
});

test('[J25] what cannot be copied says why, and nothing is left of the wish', { timeout: 60_000 }, async () => {
  const watching = await startZygote(['watches']);
  await rejects(settleZygote(launcher, join(watching.folder, 'z'), 9), { code: 'machine.zygoteFailed', message: /cannot be copied: it has an open anon_inode:\[eventpoll\]/ });
  const sharing = await startZygote(['shares']);
  await rejects(settleZygote(launcher, join(sharing.folder, 'z'), 9), { code: 'machine.zygoteFailed', message: /it shares memory that it writes/ });
  const plain = await startZygote();
  await rejects(settleZygote(launcher, join(plain.folder, 'z'), 9), { code: 'machine.zygoteFailed', message: /the agent's line is not open/ });
  await rejects(copy(plain), { code: 'machine.launchFailed', message: /the zygote is not ready to be copied/ });
  await end(plain.record.vmm);
  await rejects(copy(plain), { code: 'machine.launchFailed', message: /cannot reach the zygote/ });
  equal(await ask(watching, 'count'), '1 1 1', 'it goes on');
});
