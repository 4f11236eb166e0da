/** The soak: 1,000 lives of machines of every kind, as far as an hour carries; memory may not lean upward. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { daemonWeight, descriptorsAreBack } from '../support/daemon-weight.ts';
import { runMixedLives } from '../support/mixed-lives.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tll', 165);
before(() => strata.startDaemon());
after(() => endClean(strata));

const lives = Number(process.env['STRATA_SOAK_LIVES'] ?? 1000);
const hours = Number(process.env['STRATA_SOAK_HOURS'] ?? 1);
const batch = 50;

test('1,000 lives of machines of every kind leave memory and descriptors as they were', { timeout: (hours * 3600 + 600) * 1000 }, async (context) => {
  const end = performance.now() + hours * 3_600_000;
  await runMixedLives(strata, { from: 0, to: batch, together: 2, untilMs: end });
  const first = await daemonWeight(strata);
  let lived = 0;
  for (let from = batch; from < lives && performance.now() < end; from += batch) lived += (await runMixedLives(strata, { from, to: Math.min(lives, from + batch), together: 2, untilMs: end })).length;
  const last = await daemonWeight(strata);
  const slope = (last.rssKiB - first.rssKiB) / Math.max(1, lived);
  context.diagnostic(`${lived} lives: ${first.rssKiB} → ${last.rssKiB} KiB (${slope.toFixed(2)} KiB a life), ${first.descriptors.length} → ${last.descriptors.length} descriptors`);
  await descriptorsAreBack(strata, first);
  assert.ok(slope < Math.max(16, 20_000 / Math.max(1, lived)), `${slope.toFixed(2)} KiB a life`);
});
