/** 60 lives of containers leave nothing, and the daemon as light as it was. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { waitUntil } from '#base';
import { machineTraces } from '../support/census.ts';
import { daemonWeight, descriptorsAreBack } from '../support/daemon-weight.ts';
import { importSmallImage } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tlc', 164);
before(async () => { await strata.startDaemon(); await importSmallImage(strata); });
after(() => endClean(strata));

test('60 containers live and end in one machine', { timeout: 400_000 }, async (context) => {
  const compose = (version: number, replicas: number) => `services:
  many:
    image: small:1
    pull_policy: never
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    environment: { VERSION: "${version}" }
    deploy: { replicas: ${replicas}, resources: { limits: { memory: 16M } } }
`;
  const folder = strata.app('lives', compose(0, 6));
  await strata.ok(['up', folder]);
  const vmms = strata.pidsOf('qemu-system');
  const before = await daemonWeight(strata);
  const began = performance.now();
  for (let version = 1; version < 10; version += 1) {
    writeFileSync(join(folder, 'compose.yaml'), compose(version, 6));
    await strata.ok(['up', folder]);
    await waitUntil(async () => (await strata.containers('lives')).length === 6 || undefined, { what: 'the earlier six are gone', limitMs: 60_000, everyMs: 300 });
  }
  const after = await daemonWeight(strata);
  context.diagnostic(`54 replacements in ${Math.round(performance.now() - began)} ms; daemon ${before.rssKiB} → ${after.rssKiB} KiB, ${before.descriptors.length} → ${after.descriptors.length} descriptors`);
  assert.deepEqual(strata.pidsOf('qemu-system'), vmms, 'one machine carried them all');
  await descriptorsAreBack(strata, before);
  assert.ok(after.rssKiB - before.rssKiB < 40 * 1024, `${before.rssKiB} → ${after.rssKiB} KiB`);
  await strata.ok(['down', '-p', 'lives']);
  assert.deepEqual(machineTraces(strata.instance), []);
  assert.deepEqual(await strata.containers(), []);
});
