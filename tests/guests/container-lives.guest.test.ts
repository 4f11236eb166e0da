/** 60 lives of containers leave nothing, and the daemon as light as it was. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { machineTraces } from '../support/census.ts';
import { beginContainerLives } from '../support/container-lives.ts';
import { daemonWeight, descriptorsAreBack } from '../support/daemon-weight.ts';
import { importSmallImage } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tlc', 164);
before(async () => { await strata.startDaemon(); await importSmallImage(strata); });
after(() => endClean(strata));

test('60 containers live and end in one machine', { timeout: 400_000 }, async (context) => {
  const lives = await beginContainerLives(strata);
  const vmms = lives.vmms();
  const before = await daemonWeight(strata);
  const began = performance.now();
  for (let lived = lives.replicas; lived < 60; lived += lives.replicas) await lives.replace();
  const after = await daemonWeight(strata);
  context.diagnostic(`54 replacements in ${Math.round(performance.now() - began)} ms; daemon ${before.rssKiB} → ${after.rssKiB} KiB, ${before.descriptors.length} → ${after.descriptors.length} descriptors`);
  assert.deepEqual(lives.vmms(), vmms, 'one machine carried them all');
  await descriptorsAreBack(strata, before);
  assert.ok(after.rssKiB - before.rssKiB < 40 * 1024, `${before.rssKiB} → ${after.rssKiB} KiB`);
  await lives.end();
  assert.deepEqual(machineTraces(strata.instance), []);
});
