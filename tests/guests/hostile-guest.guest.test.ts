/**
 * A captured guest on the channels it has to the daemon (P40): it floods its agent's line with noise and with whole frames, stops
 * its agent, floods its console. The daemon stays as light as it was, others are served, and the
 * machine itself is back when it ends. hostile-guest.long.test.ts sends 100 MB.
 * Runs alone: the daemon is to answer at once whatever the guest does.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitUntil } from '#base';
import { encodeFrame, frameTypes } from '#guest-protocol';
import { daemonWeight } from '../support/daemon-weight.ts';
import { askOthers, lightAgain, openHostileGuest, percentile, type HostileGuest } from '../support/hostile-guest.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('thg', 169);
/** What a collector leaves for later; a flood that is kept would be ten times as much. */
const slackKiB = 12 * 1024;
const limitMs = 90_000;

let bad: HostileGuest;
before(async () => {
  await strata.startDaemon();
  await strata.ok(['machine', 'create', 'good', '--memory', '192M', '--cpus', '1']);
  bad = await openHostileGuest(strata, 'bad');
  await bad.put('/tmp/noise', Buffer.alloc(4096, 'no frame at all '));
  await bad.put('/tmp/frames', Buffer.concat(Array.from({ length: 20 }, () => encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify({ event: 'container', state: { id: 'c1', phase: 'running' } }))))));
  await bad.put('/tmp/lines', Buffer.alloc(65_536, 'the console\n'));
});
after(() => endClean(strata));

/** Least bytes: about a fifth of what goes under emulation on two processors that others use too, 6 MB, 1.5 MB and 450 KiB. */
const attacks = {
  'noise': { attack: '/hostile line /tmp/noise 100 10', leastBytes: 1024 ** 2 },
  'frames that nobody asked for': { attack: '/hostile line /tmp/frames 100 10', leastBytes: 256 * 1024 },
  'a flood on its console': { attack: '/hostile console /tmp/lines 100 8', leastBytes: 128 * 1024 },
};
for (const [what, { attack, leastBytes }] of Object.entries(attacks)) {
  test(`a captured guest: ${what}`, { timeout: 300_000 }, async (context) => {
    await strata.ok(['machine', 'exec', 'good', '--', 'true']);
    const { rssKiB } = await daemonWeight(strata);
    await bad.begin(attack);
    const result = bad.ended(limitMs);
    const waits = await askOthers(strata, 'good', result);
    const [api, neighbour] = [percentile(waits.api, 1), percentile(waits.neighbour, 1)];
    assert.ok(Number(await result) >= leastBytes, `only ${await result} bytes went`);
    assert.ok(api < 1000, `the daemon took ${Math.round(api)} ms to answer`);
    assert.ok(neighbour < 15_000, `a command in the other machine took ${Math.round(neighbour)} ms`);
    const now = await lightAgain(strata, rssKiB, slackKiB);
    context.diagnostic(`${await result} bytes went; at most ${Math.round(api)} ms for the daemon's answer, ${Math.round(neighbour)} ms for a command in the other machine; the daemon ${rssKiB} → ${now} KiB`);
  });
}

test('a captured guest: silence', { timeout: 300_000 }, async (context) => {
  const { rssKiB } = await daemonWeight(strata);
  await bad.begin('/hostile silence 20');
  await waitUntil(async () => (await bad.seen()).phase === 'unknown' || undefined, { what: 'the machine is known to be silent', limitMs: 20_000, everyMs: 100 });
  const result = bad.ended(limitMs);
  const api = percentile((await askOthers(strata, 'good', result)).api, 1);
  assert.ok(api < 1000, `the daemon took ${Math.round(api)} ms to answer`);
  assert.equal(await result, '20');
  assert.equal((await waitUntil(async () => { const one = await bad.seen(); return one.phase === 'running' && one; }, { what: 'it runs again', limitMs: 30_000, everyMs: 100 })).restarts, 0, 'and was not started again for it');
  const now = await lightAgain(strata, rssKiB, slackKiB);
  context.diagnostic(`silent for twenty seconds; at most ${Math.round(api)} ms for the daemon's answer; the daemon ${rssKiB} → ${now} KiB`);
});
