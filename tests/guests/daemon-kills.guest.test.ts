/** The daemon dies at any moment of up, down and in between; whoever asks next starts it again, and all becomes as wished. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProcess, seededDice, waitUntil } from '#base';
import { census, machineTraces, ofTemplate, processesOf } from '../support/census.ts';
import { freePort } from '../support/free-port.ts';
import { importSmallImage, smallApp, startsKept } from '../support/small-app.ts';
import { endClean, openTestInstance, type CliResult } from '../support/test-instance.ts';

const clearHost = fileURLToPath(new URL('../../src/bin/clear-host.ts', import.meta.url));
const strata = openTestInstance('tdk', 161);
const seed = Number(process.env['STRATA_TEST_SEED'] ?? 20_261_125);
const dice = seededDice(seed);
let folder = '';
let url = '';

before(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}/`;
  folder = strata.app('kills', smallApp({ port }));
  await strata.startDaemon();
  await importSmallImage(strata);
});
after(() => endClean(strata));

/** Runs `strata …` while the daemon is killed `times` times, within about `overMs`; calls that found it dead are asked again, as a person would. */
async function amidKills(args: readonly string[], times: number, overMs: number): Promise<{ readonly result: CliResult; readonly kills: number }> {
  let over = false;
  let kills = 0;
  const killer = (async () => {
    for (let kill = 0; kill < times && !over; kill += 1) {
      const pause = dice.fraction() * overMs / times;
      const end = performance.now() + pause;
      await waitUntil(() => Promise.resolve(over || performance.now() >= end), { what: 'the next kill is due', limitMs: overMs + 1000, everyMs: 5 });
      if (!over && await strata.killDaemon()) kills += 1;
    }
  })();
  let result = await strata.cli(args);
  for (let again = 0; result.code !== 0 && again < times; again += 1) result = await strata.cli(args);
  over = true;
  await killer;
  return { result, kills };
}

test('20 deaths of the daemon during up, down and in between lose nothing and leave nothing', { timeout: 420_000 }, async (context) => {
  let kills = 0;
  let firstAnswers = 0;
  let calls = 0;
  const asked = async (args: readonly string[], times: number, overMs: number): Promise<void> => {
    const done = await amidKills(args, times, overMs);
    assert.equal(done.result.code, 0, `seed ${seed}: strata ${args.join(' ')}\n${done.result.stderr}`);
    kills += done.kills;
    calls += 1;
    if (done.kills > 0) firstAnswers += 1;
  };
  let starts = 0;
  for (let round = 1; kills < 20; round += 1) {
    await asked(['up', folder], 4, 9000);
    starts += 1;
    const all = await strata.containers();
    assert.deepEqual(all.map((one) => `${one.name} ${one.phase} ${one.health}`).sort(), ['kills-keep-1 running healthy', 'kills-web-1 running healthy'], `seed ${seed}, round ${round}`);
    assert.equal(strata.pidsOf('qemu-system').length, 1, 'one machine, not doubled');
    assert.equal(await startsKept(strata, 'kills'), starts, `the volume saw each start once (seed ${seed}, round ${round})`);
    // In between: what runs does not notice.
    const vmms = strata.pidsOf('qemu-system');
    await strata.killDaemon();
    kills += 1;
    assert.equal((await fetch(url)).status, 200);
    await strata.ok(['ps']);
    assert.deepEqual((await strata.containers()).map((one) => [one.id, one.restarts]).sort(), all.map((one) => [one.id, one.restarts]).sort());
    assert.deepEqual(strata.pidsOf('qemu-system'), vmms);
    await asked(['down', '-p', 'kills'], 2, 2000);
    await waitUntil(() => Promise.resolve(machineTraces(strata.instance).length === 0), { what: 'the machine is gone', limitMs: 30_000 }).catch(() => undefined);
    assert.deepEqual(machineTraces(strata.instance), [], `seed ${seed}, round ${round}`);
    assert.deepEqual(await strata.containers(), []);
  }
  context.diagnostic(`seed ${seed}: ${kills} kills, ${firstAnswers} of ${calls} calls met at least one`);
});

test('what a daemon was making when it was cut off is ended too where all is ended', { timeout: 120_000 }, async () => {
  await strata.ok(['serve', '--stop', '--all']); // templates that are there already
  await strata.ok(['machine', 'create', 'brief', '--engine', 'qemu']); // boots; its template follows
  await strata.ok(['machine', 'rm', '--force', 'brief']);
  await waitUntil(() => processesOf(strata.instance).some((one) => one.command.includes('qemu-system') && ofTemplate.test(one.command)) || undefined, { what: 'a template is made', limitMs: 60_000 });
  await strata.killDaemon();
  await runProcess([process.execPath, ...process.execArgv, clearHost], { env: strata.environment, timeoutMs: 60_000 });
  assert.deepEqual(census(strata.instance).filter((line) => !line.startsWith('folder ')), []);
});
