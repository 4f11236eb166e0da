/** The soak: 1,000 containers live and end in one machine; neither the daemon's memory nor the guest's may lean upward. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { machineTraces } from '../support/census.ts';
import { beginContainerLives } from '../support/container-lives.ts';
import { daemonWeight, descriptorsAreBack } from '../support/daemon-weight.ts';
import { importSmallImage } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tcl', 172);
before(async () => { await strata.startDaemon(); await importSmallImage(strata); });
after(() => endClean(strata));

const count = Number(process.env['STRATA_SOAK_LIVES'] ?? 1000);
const warmUp = 60;

/** What programs and the guest's kernel hold there that cannot be given back at once. */
async function guestKiB(): Promise<number> {
  const { stdout } = await strata.ok(['machine', 'ls', '-o', 'name']);
  const meminfo = (await strata.ok(['machine', 'exec', '-T', stdout.trim().replace(/^.*\//, ''), '/bin/cat', '/proc/meminfo'])).stdout;
  const field = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(meminfo)?.[1]);
  return field('MemTotal') - field('MemAvailable');
}

test('1,000 containers in one machine leave the memory of daemon and guest as it was', { timeout: 7_000_000 }, async (context) => {
  const lives = await beginContainerLives(strata);
  const vmms = lives.vmms();
  let lived = lives.replicas;
  for (; lived < warmUp; lived += lives.replicas) await lives.replace();
  const [first, guestFirst] = [await daemonWeight(strata), await guestKiB()];
  const began = performance.now();
  for (; lived < count; lived += lives.replicas) await lives.replace();
  const [last, guestLast] = [await daemonWeight(strata), await guestKiB()];
  const many = Math.max(1, lived - warmUp);
  const [slope, guestSlope] = [(last.rssKiB - first.rssKiB) / many, (guestLast - guestFirst) / many];
  context.diagnostic(`${lived} lives, ${many} of them in ${Math.round((performance.now() - began) / 1000)} s: daemon ${first.rssKiB} → ${last.rssKiB} KiB (${slope.toFixed(2)} KiB a life), guest ${guestFirst} → ${guestLast} KiB (${guestSlope.toFixed(2)}), descriptors ${first.descriptors.length} → ${last.descriptors.length}`);
  assert.deepEqual(lives.vmms(), vmms, 'one machine carried them all');
  await descriptorsAreBack(strata, first);
  assert.ok(slope < Math.max(16, 20_000 / many), `${slope.toFixed(2)} KiB of the daemon's a life`);
  assert.ok(guestSlope < Math.max(8, 8_000 / many), `${guestSlope.toFixed(2)} KiB of the guest's a life`);
  await lives.end();
  assert.deepEqual(machineTraces(strata.instance), []);
});
