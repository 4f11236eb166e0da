/**
 * `npm test`: sets up what the tests need, runs them with the locked Node, prints totals of the whole run.
 *
 *   npm test                     all tests but the long ones
 *   npm test -- gateway store    only files whose path has one of these words
 *   npm run test:long            only `*.long.test.ts`
 *
 * Files run two at once, beside them those that say `Mostly waits: <why>`, after them those that say `Runs alone: <why>`, one by one
 * (plan-stages.mjs). STRATA_TEST_LIMIT_S sets the time limit of a file. The system's own Node (18 or newer) may start this.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { installNodeModules, root } from './install-node-modules.mjs';
import { computesThoughMarked, planStages } from './plan-stages.mjs';
import { endTestFiles, runTestFile } from './run-test-file.mjs';

const folders = ['src', 'contract', 'client', 'cli', 'guest', 'tools', 'tests'];
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const long = process.argv.includes('--long');
const limitMs = Number(process.env.STRATA_TEST_LIMIT_S ?? (long ? 7200 : 900)) * 1000;

const node = installNodeModules();
if (process.env.STRATA_TEST_PREPARE !== 'no') {
  const prepared = spawnSync(node, [join(root, 'tools/prepare-test-host.ts')], { cwd: root, stdio: ['ignore', 2, 2] });
  if (prepared.status !== 0) process.exit(1);
}
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) process.on(signal, () => { endTestFiles(); process.exit(code); });

const started = Date.now();
const files = folders.flatMap((folder) => testFilesUnder(join(root, folder))).map((path) => relative(root, path));
const chosen = files.filter((file) => isLong(file) === long && (words.length === 0 || words.some((word) => file.includes(word))));
const results = [];
const texts = new Map(chosen.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
for (const stage of planStages([...texts].map(([file, text]) => ({ file, text })), long)) await Promise.all(stage.map(runQueue));
process.exitCode = printTotals() ? 0 : 1;

function isLong(file) { return file.endsWith('.long.test.ts'); }

function testFilesUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : testFilesUnder(join(folder, entry.name));
    return entry.name.endsWith('.test.ts') ? [join(folder, entry.name)] : [];
  });
}

async function runQueue({ files: waiting, lanes }) {
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      if (process.stderr.isTTY) process.stderr.write(`running ${file}\n`);
      const result = await runTestFile({ node, file, limitMs });
      results.push(result);
      printFile(result);
    }
  };
  await Promise.all(Array.from({ length: lanes }, worker));
}

function printFile({ file, output, problem, seconds, left, processorSeconds }) {
  const lines = [`\n${file} (${seconds.toFixed(1)} s)`, output];
  if (problem !== undefined) lines.push(`✖ ${file} ${problem}`);
  if (left.length > 0) lines.push(`! ${file} left processes running, which were ended: ${left.join(', ')}`);
  if (computesThoughMarked({ text: texts.get(file), seconds, processorSeconds })) lines.push(`! ${file} says that it mostly waits, and computed for ${processorSeconds.toFixed(1)} s`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Why, once more: whoever sees only the end of a long run must not have to look for it. */
function reportOf({ file, problem, counts }) {
  const failures = counts.failures.map(({ test, why }) => `    ✖ ${test}\n${why.replaceAll(/^/gm, '      ')}`);
  return [`  ${file}: ${problem ?? `${counts.failed + counts.cancelled} tests`}`, ...failures].join('\n');
}

/** The closing lines; true where all is well. */
function printTotals() {
  const sum = (name) => results.reduce((total, { counts }) => total + counts[name], 0);
  const broken = results.filter(({ problem }) => problem !== undefined);
  const failed = sum('failed') + sum('cancelled') + broken.length;
  const bad = results.filter(({ counts, problem }) => problem !== undefined || counts.failed + counts.cancelled > 0);
  if (results.length === 0) process.stdout.write(`\nno test file${words.length === 0 ? '' : ` has ${words.join(' or ')} in its path`}\n`);
  if (bad.length > 0) process.stdout.write(`\nfailed:\n${bad.map(reportOf).join('\n')}\n`);
  const totals = { files: results.length, tests: sum('tests') + broken.length, pass: sum('passed'), fail: failed, skipped: sum('skipped'), todo: sum('todo'), duration_ms: Date.now() - started };
  process.stdout.write(`\n${Object.entries(totals).map(([name, value]) => `ℹ ${name} ${value}`).join('\n')}\n${sum('passed')} passed, ${failed} failed, ${sum('skipped')} skipped\n`);
  return failed === 0 && sum('passed') > 0;
}
