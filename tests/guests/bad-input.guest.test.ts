/** What bad input gets through the real command line: an exit code, a clear line, and nothing changed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { machineTraces } from '../support/census.ts';
import { importSmallImage } from '../support/small-app.ts';
import { endClean, openTestInstance } from '../support/test-instance.ts';

const strata = openTestInstance('tbi', 166);
const program = fileURLToPath(new URL('../../strata', import.meta.url));

before(async () => { await strata.startDaemon(); await importSmallImage(strata); });
after(() => endClean(strata));

const service = (more: string): string => `services:\n  web:\n    image: small:1\n    pull_policy: never\n${more}`;
let apps = 0;

/** `up` of that file is refused with that exit code and these words, and nothing of it is there afterwards. */
async function refused(compose: string, code: number, words: RegExp): Promise<void> {
  apps += 1;
  const name = `bad${apps}`;
  const result = await strata.cli(['up', strata.app(name, compose)], { limitMs: 60_000 });
  assert.match(result.stderr, words);
  assert.equal(result.code, code, result.stderr);
  assert.equal(result.stdout, '');
  assert.ok(!/\n\s+at .*\.ts:\d+/.test(result.stderr), `no stack: ${result.stderr}`);
  assert.deepEqual((JSON.parse((await strata.ok(['app', 'ls', '-o', 'json'])).stdout) as { items: { name: string }[] }).items.filter((one) => one.name === name), []);
  assert.deepEqual(machineTraces(strata.instance), []);
}

test('an unknown key is refused with its place', { timeout: 60_000 }, () => refused(service('    imagee: x\n'), 2, /compose\.yaml:5:5.*imagee/));
test('a wrong type is refused with its place', { timeout: 60_000 }, () => refused(service('    ports: 80\n'), 2, /compose\.yaml:5:\d+.*ports/));
test('a cycle of depends_on is refused', { timeout: 60_000 }, () => refused(`${service('    depends_on: [db]\n')}  db:\n    image: small:1\n    depends_on: [web]\n`, 2, /compose\.yaml:\d+:\d+.*(cycle|each other|circle)/i));
test('a variable that must be set is named', { timeout: 60_000 }, () => refused(service('    environment: { A: "${STRATA_NOT_SET:?say which}" }\n'), 2, /compose\.yaml:5:\d+.*STRATA_NOT_SET.*say which/));
test('a volume with two writers is refused', { timeout: 60_000 }, () => refused(`${service('    volumes: ["v:/v"]\n    deploy: { replicas: 2 }\n')}volumes: { v: {} }\n`, 2, /compose\.yaml:\d+:\d+.*(volume|writ)/i));
test('a platform no machine has is refused', { timeout: 60_000 }, () => refused(service('    platform: linux/s390x\n'), 2, /compose\.yaml:5:\d+.*s390x/));
test('an image that is not there is named with advice', { timeout: 60_000 }, () => refused('services:\n  web:\n    image: not-there:7\n    pull_policy: never\n', 1, /not-there:7[\s\S]*strata image import/));
test('memory that fits no host is refused with numbers', { timeout: 60_000 }, () => refused(service('    deploy: { resources: { limits: { memory: 4000G } } }\n'), 2, /compose\.yaml:5:46: machine bad\d+-x86-64 fits no host, even if nothing else ran \(\S+: needs 4096\d\d\d MiB of memory, \d+ of \d+ MiB free/));

test('a port that another program holds is a clear refusal', { timeout: 60_000 }, async () => {
  const server = createServer();
  await new Promise<void>((resolve) => { server.listen(0, '0.0.0.0', resolve); });
  const { port } = server.address() as AddressInfo;
  try { await refused(service(`    ports: ["${port}:80"]\n`), 1, new RegExp(`port ${port}`)); } finally { server.close(); }
});

test('a service that never gets healthy: exit 1 with the probe and its last words; logs and containers stay', { timeout: 120_000 }, async () => {
  const folder = strata.app('sick', service('    command: [sh, -c, "echo I am here; sleep 1000"]\n    stop_grace_period: 0s\n    healthcheck: { test: [CMD, sh, -c, "echo it hurts; exit 1"], interval: 1s, timeout: 5s, retries: 2 }\n'));
  const result = await strata.cli(['up', folder]);
  assert.equal(result.code, 1, result.stderr);
  assert.match(result.stderr, /it hurts/);
  assert.match((await strata.ok(['logs', '-p', 'sick', 'web'])).stdout, /I am here/);
  await strata.ok(['down', '-p', 'sick']);
  assert.deepEqual(machineTraces(strata.instance), []);
});

test('a machine that the engine it names could never run is refused, and not made', { timeout: 60_000 }, async () => {
  for (const [more, words] of [[['-c', '2'], /uml: it gives at most 1 processor, and 2 are asked for/], [['--arch', 'aarch64'], /uml: it runs x86_64, not aarch64/]] as const) {
    const result = await strata.cli(['machine', 'create', 'wide', '--engine', 'uml', ...more]);
    assert.deepEqual([result.code, result.stdout], [1, ''], result.stderr);
    assert.match(result.stderr, words);
  }
  assert.equal((await strata.ok(['machine', 'ls', '-q'])).stdout, '');
});

test('who is not root is told so in one line', { timeout: 60_000 }, () => {
  // May read wherever this checkout lies, and is nobody all the same.
  const result = spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search', program, 'ps'], {
    encoding: 'utf8', timeout: 50_000, env: { PATH: process.env['PATH'], HOME: '/tmp', STRATA_INSTANCE: 'tbi', STRATA_RUN: strata.instance.runDir, STRATA_STATE: strata.instance.stateDir },
  });
  assert.equal(result.status, 1, result.stderr);
  assert.match(result.stderr, /root/);
  assert.ok(!/\n\s+at /.test(result.stderr), result.stderr);
});

test('no network: pulling an image names the registry that cannot be reached', { timeout: 60_000 }, async () => {
  const result = await strata.cli(['image', 'pull', 'registry.invalid/some/image:1'], { limitMs: 50_000 });
  assert.equal(result.code, 1, result.stderr);
  assert.match(result.stderr, /registry\.invalid/);
  assert.ok(!/\n\s+at .*\.ts:\d+/.test(result.stderr));
});
