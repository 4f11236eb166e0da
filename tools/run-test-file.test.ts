/**
 * The runner of one test file: what hangs, crashes, tests nothing or leaves processes behind is told and ended.
 * Mostly waits: for files that hang, and for the look at what is left.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { waitUntil } from '#base';

interface Result { readonly counts: { readonly tests: number; readonly passed: number; readonly failed: number; readonly skipped: number; readonly failures: readonly { readonly test: string; readonly why: string }[] }; readonly problem: string | undefined; readonly output: string; readonly processorSeconds: number; readonly left: readonly string[] }
type Run = (run: { readonly node: string; readonly file: string; readonly limitMs: number }) => Promise<Result>;
const { runTestFile } = await import(new URL('run-test-file.mjs', import.meta.url).href) as { readonly runTestFile: Run };

const folder = mkdtempSync(join(tmpdir(), 'strata-runner-'));
after(() => rmSync(folder, { recursive: true }));
let made = 0;

/** `body` may use test, ok and spawn. */
function runText(body: string, limitMs = 20_000): Promise<Result> {
  const file = join(folder, `case-${made += 1}.test.mjs`);
  writeFileSync(file, `import { after, describe, test } from 'node:test';\nimport { ok } from 'node:assert/strict';\nimport { spawn } from 'node:child_process';\nimport { writeFileSync } from 'node:fs';\n${body}\n`);
  return runTestFile({ node: process.execPath, file, limitMs });
}

const isAlive = (pid: number): boolean => { try { return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')); } catch { return false; } };
const pidFile = (): string => join(folder, `pid-${made + 1}`);

test('passed, failed and skipped tests are counted, and the file\'s own totals are not printed', async () => {
  const { counts, problem, output, left } = await runText('test(\'good\', () => {}); test(\'bad\', () => ok(false, \'no good\')); test(\'later\', { skip: true }, () => {});');
  deepEqual([counts.tests, counts.passed, counts.failed, counts.skipped, problem, left], [3, 1, 1, 1, undefined, []]);
  match(output, /no good/);
  deepEqual(counts.failures.map(({ test: name, why }) => [name, /no good/.test(why)]), [['bad', true]]);
  equal(/^ℹ (tests|pass|fail) /m.test(output), false);
});

test('what fails after the last test, as a look at what is left does, is a failure of the file', async () => {
  for (const body of ['after(() => ok(false, \'left\')); test(\'good\', () => {});', 'describe(\'all\', () => { after(() => ok(false, \'left\')); test(\'good\', () => {}); });']) {
    const { counts, problem } = await runText(body);
    deepEqual([counts.passed, counts.failed, problem], [1, 0, 'failed in a hook']);
    match(counts.failures.map(({ why }) => why).join(), /left/);
  }
  equal((await runText('describe(\'all\', () => { test(\'bad\', () => ok(false)); });')).problem, undefined, 'a failed test is counted as one');
});

test('how long it computed is told, with what it started and waited for', async () => {
  const busy = 'while (process.cpuUsage().user < 300_000);';
  const { processorSeconds } = await runText(`test('computes', () => new Promise((resolve) => { ${busy} spawn(process.execPath, ['-e', '${busy}']).on('exit', resolve); }));`);
  const idle = await runText('test(\'waits\', () => new Promise((resolve) => { setTimeout(resolve, 800); }));');
  ok(processorSeconds > 0.6 && idle.processorSeconds < processorSeconds, `${processorSeconds} s, and ${idle.processorSeconds} s`);
});

test('a file without tests, one that does not load and one that exits early are problems', async () => {
  match((await runText('')).problem ?? '', /has no tests|before its tests did/);
  const broken = await runText('import \'./nothing.mjs\';');
  match(broken.problem ?? '', /exit code 1/);
  match(broken.output, /nothing\.mjs/);
  match((await runText('test(\'a\', () => process.exit(0));')).problem ?? '', /before its tests did/);
  match((await runText('test(\'a\', () => process.kill(process.pid, \'SIGKILL\'));')).problem ?? '', /by SIGKILL/);
});

test('a file that hangs is ended at its limit with all it started, also what left its group', async () => {
  const file = pidFile();
  const { problem } = await runText(`test('hangs', () => new Promise((resolve) => { const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore', env: {} }); writeFileSync(${JSON.stringify(file)}, String(child.pid)); setTimeout(resolve, 600_000); }));`, 2500);
  match(problem ?? '', /hung: did not end within 2.5 s, in "hangs"/);
  await waitUntil(() => !isAlive(Number(readFileSync(file, 'utf8'))), { what: 'its child is gone', limitMs: 5000 });
});

test('of a file that hangs it is told which test failed before, and that none was under way', async () => {
  const { problem, counts } = await runText('test(\'forgets\', () => { setInterval(() => {}, 1000); ok(false, \'no good\'); });', 2500);
  match(problem ?? '', /hung: .* none of its tests was under way/);
  deepEqual(counts.failures.map(({ test: name, why }) => [name, /no good/.test(why)]), [['forgets', true]]);
});

test('what a file leaves running is told and ended', async () => {
  const file = pidFile();
  const { problem, left } = await runText(`test('leaves', () => { const child = spawn('sleep', ['601'], { detached: true, stdio: 'ignore' }); child.unref(); writeFileSync(${JSON.stringify(file)}, String(child.pid)); });`);
  equal(problem, undefined);
  match(left.join(), /sleep/);
  await waitUntil(() => !isAlive(Number(readFileSync(file, 'utf8'))), { what: 'it is gone', limitMs: 5000 });
});

test('no file for the words given is a failure with one line that says so', () => {
  const { status, stdout } = spawnSync(process.execPath, [join(import.meta.dirname, 'run-tests.mjs'), 'no-such-word-anywhere'], { encoding: 'utf8', env: { ...process.env, STRATA_TEST_PREPARE: 'no' } });
  equal(status, 1);
  match(stdout, /no test file has no-such-word-anywhere in its path/);
  match(stdout, /\n0 passed, 0 failed, 0 skipped\n$/);
});
