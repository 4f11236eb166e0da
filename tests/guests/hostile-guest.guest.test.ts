/**
 * A captured guest on the channels it has to the daemon (P40): it floods its agent's line with noise and with whole frames, stops
 * its agent, floods its console. The daemon stays as light as it was, others are served, and the
 * machine itself is back when it ends.
 * Runs alone: the daemon is to answer at once whatever the guest does.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { runProcess, waitUntil } from '#base';
import type { Machine } from '#client';
import { encodeFrame, frameTypes } from '#guest-protocol';
import { daemonWeight } from '../support/daemon-weight.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('thg', 169);
const floodMegabytes = 100;
/** What a collector leaves for later; a flood that is kept would be ten times as much. */
const slackKiB = 12 * 1024;

before(async () => {
  await strata.startDaemon();
  for (const name of ['good', 'bad']) await strata.ok(['machine', 'create', name, '--memory', '192M', '--cpus', '1']);
  const program = join(strata.folder, 'hostile');
  const flags = ['-Os', '-ffreestanding', '-nostdlib', '-static', '-fno-stack-protector', '-fno-asynchronous-unwind-tables', '-fno-pie', '-no-pie', '-s', '-Wl,--build-id=none', '-Wl,-z,noseparate-code'];
  await runProcess(['gcc', ...flags, '-o', program, join(import.meta.dirname, '../support/hostile-guest.c')], { timeoutMs: 60_000 });
  await put('/hostile', readFileSync(program)); // nothing under /tmp is run
  await put('/tmp/noise', Buffer.alloc(4096, 'no frame at all '));
  await put('/tmp/frames', Buffer.concat(Array.from({ length: 20 }, () => encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify({ event: 'container', state: { id: 'c1', phase: 'running' } }))))));
  await inBad('chmod +x /hostile');
});
after(() => endClean(strata));

const inBad = (script: string) => strata.ok(['machine', 'exec', 'bad', '--', 'sh', '-c', script], { limitMs: 120_000 });
const put = (path: string, bytes: Buffer) => inBad(`echo ${bytes.toString('base64')} | base64 -d > ${path}`);
const bad = async (): Promise<Machine> => (await strata.client().call('listMachines')).items.find((one) => one.name === 'bad') as Machine;

/** The longest that the daemon and the other machine took to answer, in milliseconds, until the attack has said how it went. */
async function askOthers(until: Promise<unknown>): Promise<{ readonly api: number; readonly neighbour: number }> {
  let over = false;
  const end = until.finally(() => { over = true; });
  end.catch(() => undefined); // told below
  const longest = { api: 0, neighbour: 0 };
  while (!over) {
    const began = performance.now();
    await bad();
    longest.api = Math.max(longest.api, performance.now() - began);
    const { ms } = await strata.ok(['machine', 'exec', 'good', '--', 'true'], { limitMs: 60_000 });
    longest.neighbour = Math.max(longest.neighbour, ms);
  }
  await end;
  return longest;
}

/** Its result lies in the guest; it is there when the guest is itself again. */
const ended = (): Promise<string> => waitUntil(async () => {
  const { code, stdout } = await strata.cli(['machine', 'exec', 'bad', '--', 'cat', '/tmp/result'], { limitMs: 60_000 });
  return code === 0 && stdout.trim() !== '' ? stdout.trim() : undefined;
}, { what: 'the attack is over and the machine answers', limitMs: 90_000, everyMs: 500 });

const begin = (attack: string) => inBad(`rm -f /tmp/result; (setsid sh -c '${attack} > /tmp/new; mv /tmp/new /tmp/result' < /dev/null > /dev/null 2>&1 &)`);

async function light(context: TestContext, before: number, what: string): Promise<void> {
  const now = await waitUntil(async () => { const { rssKiB } = await daemonWeight(strata); return rssKiB < before + slackKiB && rssKiB; }, { what: `the daemon is as light as before (${before} KiB)`, limitMs: 60_000, everyMs: 500 });
  context.diagnostic(`${what}; the daemon ${before} → ${now} KiB`);
}

/** Tells how many bytes the console took. */
const floodConsole = 'yes "the console" | head -c 65536 > /tmp/lines; end=$(($(date +%s) + 8)); sent=0; while [ $(date +%s) -lt $end ]; do cat /tmp/lines > /dev/console && sent=$((sent + 65536)); done; echo $sent';
/** Least bytes: about a fifth of what goes under emulation on two processors that others use too, 6 MB, 1.5 MB and 450 KiB. A flood has ten seconds, however little goes. */
const attacks = {
  'noise': { attack: `/hostile flood /tmp/noise ${floodMegabytes}`, leastBytes: 1024 ** 2 },
  'frames that nobody asked for': { attack: `/hostile flood /tmp/frames ${floodMegabytes}`, leastBytes: 256 * 1024 },
  'a flood on its console': { attack: floodConsole, leastBytes: 128 * 1024 },
};
for (const [what, { attack, leastBytes }] of Object.entries(attacks)) {
  test(`a captured guest: ${what}`, { timeout: 300_000 }, async (context) => {
    await strata.ok(['machine', 'exec', 'good', '--', 'true']);
    const { rssKiB } = await daemonWeight(strata);
    await begin(attack);
    const result = ended();
    const { api, neighbour } = await askOthers(result);
    assert.ok(Number(await result) >= leastBytes, `only ${await result} bytes went`);
    assert.ok(api < 1000, `the daemon took ${Math.round(api)} ms to answer`);
    assert.ok(neighbour < 15_000, `a command in the other machine took ${Math.round(neighbour)} ms`);
    await light(context, rssKiB, `${await result} bytes went; at most ${Math.round(api)} ms for the daemon's answer, ${Math.round(neighbour)} ms for a command in the other machine`);
  });
}

test('a captured guest: silence', { timeout: 300_000 }, async (context) => {
  const { rssKiB } = await daemonWeight(strata);
  await begin('/hostile silence');
  await waitUntil(async () => (await bad()).phase === 'unknown' || undefined, { what: 'the machine is known to be silent', limitMs: 20_000, everyMs: 100 });
  const result = ended();
  const { api } = await askOthers(result);
  assert.ok(api < 1000, `the daemon took ${Math.round(api)} ms to answer`);
  assert.equal(await result, '20');
  assert.equal((await waitUntil(async () => { const one = await bad(); return one.phase === 'running' && one; }, { what: 'it runs again', limitMs: 30_000, everyMs: 100 })).restarts, 0, 'and was not started again for it');
  await light(context, rssKiB, `silent for twenty seconds; at most ${Math.round(api)} ms for the daemon's answer`);
});
