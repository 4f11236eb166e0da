/** The holder of a template, and what a VMM can do with what it holds: shell scripts in the place of VMMs. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdir, open, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { isAlive, signalProcess, waitUntil, type ProcessIdentity } from '#base';
import { holderOf, holdTemplate, isHeld, readConsoleRing, readHolder, sealTemplate } from './index.ts';
import { openLaunchTest, residentKb, standInUid, statusField, type LaunchTest } from './testing/stand-in-vmm.ts';

let it: LaunchTest;
let folder: string;
const holders: ProcessIdentity[] = [];
beforeEach(async () => {
  it = await openLaunchTest();
  folder = join(it.root, 't');
  await mkdir(folder, { mode: 0o700 });
});
afterEach(async () => {
  for (const holder of holders.splice(0)) await end(holder);
  await it.close();
});

const megabyte = 1024 * 1024;
async function hold(): Promise<ProcessIdentity> {
  const holder = await holdTemplate(it.launcher, folder, megabyte);
  holders.push(holder);
  return holder;
}
async function end(holder: ProcessIdentity): Promise<void> {
  await signalProcess(holder, 'SIGKILL');
  await waitUntil(async () => !(await isAlive(holder)), { what: 'the holder is gone', limitMs: 10_000 });
}
/** What the holder holds, as root sees it. */
async function pathOf(holder: ProcessIdentity, what: 'memory' | 'state'): Promise<string> {
  const paths = (await readdir(`/proc/${holder.pid}/fd`)).map((fd) => `/proc/${holder.pid}/fd/${fd}`);
  const targets = await Promise.all(paths.map((path) => readlink(path)));
  return paths[targets.findIndex((one) => one.startsWith(`/memfd:${what}`))] ?? '';
}
/** Runs a script with these rights to its end; returns what it said. */
async function say(script: string, more: Parameters<LaunchTest['start']>[1]): Promise<string> {
  const record = await it.start(`exec 2>&1; ${script}`, more);
  return (await it.ended(record))?.stderr ?? '';
}
const heldBy = (kind: 'memory' | 'state') => ({ kind: 'sealed-' + kind, path: holderOf(folder) }) as { kind: 'sealed-memory' | 'sealed-state'; path: string };

test('[J12] a holder outlives its starter, is small, has no right, and what it holds ends with it', async () => {
  const holder = await hold();
  ok(await isAlive(holder));
  deepEqual(await readHolder(folder), holder);
  equal(await isHeld(it.launcher, folder), true);
  await rejects(hold(), { code: 'machine.templateFailed', message: /already runs/ });
  ok(await residentKb(holder.pid) < 1024);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) equal(Number.parseInt(await statusField(holder.pid, set), 16), 0, set);
  equal(await statusField(holder.pid, 'NoNewPrivs'), '1');
  const targets = await Promise.all((await readdir(`/proc/${holder.pid}/fd`)).map((fd) => readlink(`/proc/${holder.pid}/fd/${fd}`)));
  equal(targets.filter((one) => one.startsWith('/memfd:')).length, 2);
  await end(holder);
  await rejects(sealTemplate(it.launcher, folder), { code: 'machine.templateFailed', message: /cannot reach the template's holder/ });
  equal(await isHeld(it.launcher, folder), false);
});

test('[J13] the template\'s own VMM writes it; once sealed, no VMM can; unsealed it is handed to no clone', async () => {
  const holder = await hold();
  await rejects(it.start('true', { descriptors: [heldBy('memory')] }), { code: 'machine.launchFailed', message: /the template is not sealed/ });
  await rejects(it.start('true', { descriptors: [heldBy('state')] }), { code: 'machine.launchFailed', message: /the template is not sealed/ });
  equal(await say('printf frozen 1<>/fd/4; /bin/busybox head -c 6 <&4', { ownDescriptors: '/fd', descriptors: [{ kind: 'template-memory', path: holderOf(folder) }] }), 'frozen');
  equal(await say('printf "the state" >&4; (/bin/busybox head -c 1 <&4) 2>/dev/null || printf unreadable', { descriptors: [{ kind: 'template-state', path: holderOf(folder) }] }), 'unreadable', 'to be written only');
  deepEqual(await sealTemplate(it.launcher, folder), { memoryBytes: megabyte, usedBytes: 4096, stateBytes: 9 });
  // The shell is the VMM: it opens /fd itself, with what its uid may do.
  const tried = ['printf x 1<>/fd/4', 'printf x >/fd/4', 'printf x >>/fd/4', 'printf x 1<>/fd/5', 'printf x >/fd/5', 'printf x >&4', 'printf x >&5', '/bin/busybox chmod 0 /fd/4', '/bin/busybox rm /fd/4'];
  const attacks = tried.map((one, at) => `if (${one}) >/dev/null 2>&1; then echo "SUCCEEDED: ${at}"; fi`.replace(/^if \((printf.*?)\)/, 'if { $1; }')).join('\n');
  equal(await say(`${attacks}\n/bin/busybox head -c 6 <&4; /bin/busybox cat <&5`, { ownDescriptors: '/fd', descriptors: [heldBy('memory'), heldBy('state')] }), 'frozenthe state');
  equal(await say('/bin/busybox cat <&4', { descriptors: [heldBy('state')] }), 'the state', 'each reads from its beginning');
  const file = await open(await pathOf(holder, 'memory'), 'r+');
  try {
    for (const attempt of [() => file.write('root'), () => file.truncate(1), () => file.truncate(2 * megabyte)]) await rejects(attempt, { code: 'EPERM' }, 'nor can root');
  } finally {
    await file.close();
  }
});

test('[J14] a VMM that gives way is scheduled as idle', async () => {
  const idle = 5;
  const policyOf = async (pid: number) => Number((await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ')[38]);
  const { vmm } = await it.start('exec /bin/busybox sleep 1000', { idle: true });
  equal(await policyOf(vmm.pid), idle);
});

test('[J15] a VMM\'s folder of descriptors is its own and no way to more rights', async () => {
  const foreign = join(it.root, 'image.raw');
  await writeFile(foreign, 'image', { mode: 0o644 });
  const said = await say('/bin/busybox ls /; /bin/busybox ls /fd; for one in /proc/1/fd /fd/../status /fd/../../1; do /bin/busybox ls $one >/dev/null 2>&1 && echo "SEEN $one"; done; { echo x > /fd/4; } 2>/dev/null && echo WRITTEN; /bin/busybox cat <&4', { ownDescriptors: '/fd', descriptors: [{ kind: 'disk-ro', path: foreign }] });
  match(said, /^bin\ndev\nfd\nls: can't open '\/fd': Permission denied\nimage$/, 'not even another process of its own sees them');
  equal(await readFile(foreign, 'utf8'), 'image');
  equal(standInUid === (await stat(foreign)).uid, false);
});

test('[J16] a console begins with another one\'s past', async () => {
  const first = await it.start('echo before >&3');
  await it.ended(first);
  const past = join(it.root, 'past');
  await writeFile(past, await readFile(join(it.folder, 'console')));
  const second = await it.start('echo after >&3', { consoleBefore: past });
  await it.ended(second);
  equal(String(await readConsoleRing(it.folder)), 'before\nafter\n');
  const third = await it.start('echo alone >&3', { consoleBefore: join(it.root, 'nothing') });
  await it.ended(third);
  equal(String(await readConsoleRing(it.folder)), 'alone\n');
});
