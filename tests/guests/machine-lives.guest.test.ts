/** A hundred lives of machines of every kind leave nothing, and the daemon as light as it was: a tenth of the soak. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { daemonWeight, descriptorsAreBack } from '../support/daemon-weight.ts';
import { describeLives, kindsOfLives, runMixedLives } from '../support/mixed-lives.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tlm', 178);
before(() => strata.startDaemon());
after(() => endClean(strata));

const lives = 100;

test('100 machines of every kind live and end, each in its own way; nothing is left and nothing grows', { timeout: 600_000 }, async (context) => {
  const began = performance.now();
  await runMixedLives(strata, { from: 0, to: 2 * kindsOfLives, together: 2 });
  const before = await daemonWeight(strata);
  const lived = await runMixedLives(strata, { from: 2 * kindsOfLives, to: lives, together: 2 });
  const after = await daemonWeight(strata);
  context.diagnostic(`${lives} lives in ${Math.round((performance.now() - began) / 1000)} s; daemon ${before.rssKiB} → ${after.rssKiB} KiB, ${before.descriptors.length} → ${after.descriptors.length} descriptors`);
  context.diagnostic(describeLives(lived));
  await descriptorsAreBack(strata, before);
  // A young V8 heap grows until its first full collections: the bound is generous here, the soak's is not.
  assert.ok(after.rssKiB - before.rssKiB < 40 * 1024, `${before.rssKiB} → ${after.rssKiB} KiB`);
});
