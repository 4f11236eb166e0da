/** Runs one test file in a process of its own, with a time limit, and leaves none of its processes behind. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './install-node-modules.mjs';
import { watchDescendants } from './end-processes.mjs';

/** Totals of a file are printed once, for the whole run. */
const totalsLine = /^ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /;
/** Files load the same code: the first compiles it for all, also for what `strata` runs. */
const compileCache = join(root, 'node_modules/.cache/strata');
const running = new Set();

/** Counts of a file whose process told none. */
const noCounts = { tests: 0, suites: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0, failures: [], processorSeconds: 0 };

/**
 * @param {{ node: string, file: string, limitMs: number }} run
 * @returns {Promise<{ file: string, counts: typeof noCounts, problem: string | undefined, output: string, seconds: number, processorSeconds: number, left: string[] }>}
 */
export async function runTestFile({ node, file, limitMs }) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-test-counts-'));
  const countsFile = join(folder, 'counts.json');
  const mark = `STRATA_TEST_FILE=${folder}`;
  const args = ['--disable-warning=ExperimentalWarning', '--test-reporter=spec', '--test-reporter-destination=stdout', `--test-reporter=${join(root, 'tools/test-counts-reporter.mjs')}`, `--test-reporter-destination=${countsFile}`, file];
  const started = Date.now();
  const child = spawn(node, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { NODE_COMPILE_CACHE: compileCache, ...process.env, STRATA_TEST_FILE: folder, FORCE_COLOR: '0' } });
  const family = watchDescendants(child.pid, mark);
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => chunks.push(chunk));
  const looking = setInterval(() => family.look(), 1000);
  const end = () => { family.look(); killGroup(child.pid); family.end(); };
  running.add(end);
  let hung = false;
  const timer = setTimeout(() => { hung = true; end(); }, limitMs);
  const { code, signal } = await new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: -1, signal: error.message }));
    child.once('exit', (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  clearTimeout(timer);
  clearInterval(looking);
  const left = hung ? [] : family.end();
  killGroup(child.pid);
  running.delete(end);
  const { counts, failures, running: inTest } = readReport(existsSync(countsFile) ? readFileSync(countsFile, 'utf8') : '');
  rmSync(folder, { recursive: true });
  const output = Buffer.concat(chunks).toString('utf8').split('\n').filter((line) => !totalsLine.test(line)).join('\n').trimEnd();
  return { file, counts: { ...noCounts, ...counts, failures }, problem: problemOf({ hung, limitMs, code, signal, counts, failures, inTest }), output, seconds: (Date.now() - started) / 1000, processorSeconds: (counts ?? noCounts).processorSeconds, left };
}

/** Ends all files that run, with what they started: at Ctrl-C. */
export function endTestFiles() {
  for (const end of running) end();
}

/** What is wrong besides failed tests. */
function problemOf({ hung, limitMs, code, signal, counts, failures, inTest }) {
  if (hung) return `hung: did not end within ${limitMs / 1000} s, ${inTest === undefined ? 'though none of its tests was under way: one has left something open' : `in "${inTest}"`}, and was ended with all it had started`;
  if (counts === undefined) return `ended ${code === null ? `by ${signal}` : `with exit code ${code}`} before its tests did`;
  if (counts.tests === 0) return 'has no tests';
  if (failures.some(({ ofHook }) => ofHook)) return 'failed in a hook';
  if (code !== 0 && counts.failed + counts.cancelled === 0) return `ended ${code === null ? `by ${signal}` : `with exit code ${code}`} though no test failed`;
  return undefined;
}

/** What test-counts-reporter.mjs wrote, as far as it came; `running` is the innermost test that began and did not end. */
function readReport(text) {
  const lines = text.split('\n').slice(0, -1).map((line) => JSON.parse(line)); // the last is empty, or was cut off
  const running = [];
  for (const { began, ended } of lines) {
    if (began !== undefined) running.push(began);
    if (ended !== undefined) running.splice(running.lastIndexOf(ended), 1);
  }
  return { counts: lines.findLast((one) => one.counts !== undefined)?.counts, failures: lines.flatMap(({ failure }) => failure ?? []), running: running.at(-1) };
}

function killGroup(pid) {
  if (!Number.isInteger(pid) || pid <= 1) return;
  try { process.kill(-pid, 'SIGKILL'); } catch (error) { if (error.code !== 'ESRCH') throw error; }
}
