/**
 * Identity of processes, and the limits of the one way to run a program.
 * Mostly waits: for limits of programs, and for ends of those that hold on.
 */
import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { identifyProcess, isAlive, signalProcess, type ProcessIdentity } from './process-identity.ts';
import { childEnvironment, runProcess } from './run-process.ts';
import { waitUntil } from './wait-until.ts';
import type { StrataError } from './errors.ts';

test('[B1] this process is itself, the next one is another', async () => {
  const self = await identifyProcess(process.pid) as ProcessIdentity;
  equal(self.bootId, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  ok(await isAlive(self));
  equal(await isAlive({ ...self, startTicks: self.startTicks + 1 }), false);
  equal(await isAlive({ ...self, bootId: 'another boot' }), false);
  for (const pid of [0, 1, -1, 1.5, Number.NaN, 2 ** 30]) equal(await identifyProcess(pid), undefined, String(pid));
});

test('[B1] what ended, or has the pid of what ended, is never signalled', async (t) => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  const identity = await waitUntil(() => identifyProcess(child.pid as number), { what: 'the child runs', limitMs: 5000 });
  equal(await signalProcess({ ...identity, startTicks: identity.startTicks - 1 }, 'SIGKILL'), false);
  ok(await isAlive(identity), 'a signal meant for another process with this pid must not reach it');
  const ended = once(child, 'exit');
  equal(await signalProcess(identity, 'SIGTERM'), true);
  await ended;
  equal(await isAlive(identity), false);
  equal(await signalProcess(identity, 'SIGKILL'), false);
});

test('[B1] a zombie is gone', async (t) => {
  // The shell's child ends when `sleep` has taken the shell's place, and is not waited for.
  const parent = spawn('/bin/sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => parent.kill('SIGKILL'));
  const [line] = await once(parent.stdout, 'data') as [Buffer];
  const pid = Number(line.toString());
  await waitUntil(() => /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')), { what: 'it is a zombie', limitMs: 5000 });
  equal(await identifyProcess(pid), undefined);
});

test('[B2] argv is passed as it is, input and a small environment with it', async () => {
  const awkward = ['a b', '$HOME', '`id`', '"\'', '*', '', 'ü\n'];
  const { stdout } = await runProcess(['printf', '%s|', ...awkward]);
  deepEqual(stdout.split('|').slice(0, -1), awkward);
  equal((await runProcess(['cat'], { input: 'in' })).stdout, 'in');
  const lines = (await runProcess(['env'])).stdout.trim().split('\n').map((line) => line.split('=')[0]).sort();
  deepEqual(lines, Object.keys(childEnvironment).sort());
  equal((await runProcess(['sh', '-c', 'exit 3'], { okCodes: [0, 3] })).code, 3);
});

const alive = (pid: number): boolean => { try { process.kill(pid, 0); return true; } catch { return false; } };

for (const [name, script, options, code] of [
  ['its limit', 'echo $$ >&2; sleep 60', { timeoutMs: 300 }, 'process.timeout'],
  ['too much output', 'echo $$ >&2; yes', { maxOutputBytes: 100_000 }, 'process.tooMuchOutput'],
] as const) {
  test(`[B2] it ends with its children at ${name}`, async () => {
    const before = performance.now();
    // The grandchild writes its pid to a file that no longer matters: it is found as the group's member.
    const failure = await runProcess(['sh', '-c', `(${script}) & wait`], options).then(() => undefined, (thrown: unknown) => thrown as StrataError);
    equal(failure?.code, code);
    ok(performance.now() - before < 20_000);
  });
}

test('[B2] an aborted program and its children are gone', async () => {
  const end = new AbortController();
  const marker = `${process.pid}.25`;
  const running = runProcess(['sh', '-c', `sleep 9${marker} & sleep 9${marker}`], { signal: end.signal });
  const pids = async () => (await runProcess(['pgrep', '-f', `^sleep 9${marker}$`], { okCodes: [0, 1] })).stdout.split('\n').filter((line) => line !== '').map(Number);
  const started = await waitUntil(async () => { const now = await pids(); return now.length === 2 && now; }, { what: 'both sleep', limitMs: 5000 });
  end.abort();
  await rejects(running, { code: 'process.cancelled' });
  await waitUntil(() => !started.some(alive), { what: 'both are gone', limitMs: 5000 });
});

test('[B3] a missing or failing program is named, with its last lines', async () => {
  await rejects(runProcess(['no-such-program-here']), { code: 'process.missing', kind: 'unavailable', message: /no-such-program-here is not installed/ });
  const failure = await runProcess(['sh', '-c', 'for i in 1 2 3 4 5; do echo line $i >&2; done; exit 4']).then(() => undefined, (thrown: unknown) => thrown as StrataError);
  match(failure?.message ?? '', /sh failed with exit code 4: line 3 \| line 4 \| line 5/);
  notEqual(failure?.details?.['stderr'], undefined);
  await rejects(runProcess(['sh', '-c', 'kill -9 $$']), { code: 'process.failed', message: /was ended by SIGKILL/ });
});
