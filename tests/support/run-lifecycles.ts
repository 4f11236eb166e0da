/** Many lives of machines and containers, and what they cost the daemon; shared by the short test and the soak. */
import assert from 'node:assert/strict';
import { identifyProcess, signalProcess, waitUntil } from '#base';
import { machineTraces, weigh, type ProcessWeight } from './census.ts';
import type { TestInstance } from './test-instance.ts';

/** Lives of `count` machines, `together` at a time; every third is killed from outside. Returns how many lived. */
export async function runMachineLives(strata: TestInstance, count: number, together: number, untilMs = Number.POSITIVE_INFINITY): Promise<number> {
  let next = 0;
  let lived = 0;
  await Promise.all(Array.from({ length: together }, async () => {
    for (let at = next++; at < count && performance.now() < untilMs; at = next++) {
      await liveOnce(strata, `life${at}`, at % 3 === 2);
      lived += 1;
    }
  }));
  assert.deepEqual(machineTraces(strata.instance), []);
  return lived;
}

async function liveOnce(strata: TestInstance, name: string, killed: boolean): Promise<void> {
  await strata.ok(['machine', 'create', name, '--memory', '192M', '--cpus', '1']);
  const { id } = await strata.client().call('getMachine', { params: { machine: name } });
  assert.equal((await strata.ok(['machine', 'exec', name, '--', 'uname', '-s'])).stdout, 'Linux\n');
  if (killed) {
    const pids = strata.pidsOf(`-name ${id} `);
    assert.equal(pids.length, 1);
    const identity = await identifyProcess(pids[0] as number);
    if (identity !== undefined) await signalProcess(identity, 'SIGKILL');
    await waitUntil(() => Promise.resolve(!strata.pidsOf(`-name ${id} `).includes(pids[0] as number) || undefined), { what: 'the killed VMM is gone', limitMs: 10_000 });
  } else await strata.ok(['machine', 'stop', name]);
  await strata.ok(['machine', 'rm', '--force', name]);
}

/** What the daemon weighs now. */
export async function daemonWeight(strata: TestInstance): Promise<ProcessWeight> {
  const daemon = await strata.daemon();
  assert.ok(daemon !== undefined);
  return weigh(daemon.pid);
}

/** Descriptors come and go with connections, so it is their level that may not rise. @throws Error with what the descriptors lead to */
export async function descriptorsAreBack(strata: TestInstance, before: ProcessWeight): Promise<void> {
  const most = before.descriptors.length + 2;
  let seen = before.descriptors;
  await waitUntil(async () => (seen = (await daemonWeight(strata)).descriptors).length <= most || undefined, { what: 'descriptors are as few as before', limitMs: 15_000, everyMs: 200 })
    .catch(() => assert.fail(`${before.descriptors.length} → ${seen.length} descriptors:\n${before.descriptors.toSorted().join('\n')}\n→\n${seen.toSorted().join('\n')}`));
}
