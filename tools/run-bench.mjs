/**
 * `npm run bench`: runs each file of bench/ alone, one after the other, prints a table, and writes
 * bench/results.json with the machine, versions and date. `npm run bench -- gateway` runs only those with
 * the word in their name; what the file has of the others stays, each figure with its own date.
 *
 * A bench prints one JSON line for each figure:
 *   { bench, unit, strata, rival, rivalValue, ratio, bar, met, p95?, rivalP95?, rounds?, note? }
 * `strata` and `rivalValue` are medians of rounds that ran in turn; the rival is named. It exits non-zero
 * only where it could not measure; a bar that is missed is told by `met: false`, and by our exit code.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { watchDescendants } from './end-processes.mjs';
import { installNodeModules, root } from './install-node-modules.mjs';

const limitMs = 1_800_000;
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const node = installNodeModules();
if (process.env.STRATA_TEST_PREPARE !== 'no' && spawnSync(node, [join(root, 'tools/prepare-test-host.ts'), 'bench'], { cwd: root, stdio: ['ignore', 2, 2] }).status !== 0) process.exit(1);

const files = readdirSync(join(root, 'bench')).filter((name) => name.endsWith('.ts') && (words.length === 0 || words.some((word) => name.includes(word)))).sort((one, other) => (one < other ? -1 : 1));
const figures = [];
const broken = [];
for (const file of files) {
  process.stderr.write(`${file} …\n`);
  const { stdout, problem } = await runBench(file);
  const lines = stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const date = new Date().toISOString();
  figures.push(...lines.map((figure) => ({ file, date, ...figure })));
  if (problem !== undefined || lines.length === 0) broken.push(`${file}: ${problem ?? 'no figure'}`);
}

const missed = figures.filter(({ met }) => met === false);
printTable(figures);
if (files.length > 0) writeResults();
for (const line of broken) process.stdout.write(`could not measure: ${line}\n`);
process.stdout.write(`${figures.length} figures, ${missed.length} below their bar, ${broken.length} benches broken\n`);
process.exitCode = files.length === 0 || broken.length > 0 || missed.length > 0 ? 1 : 0;

function writeResults() {
  const path = join(root, 'bench/results.json');
  const here = machine();
  let before = [];
  try {
    const last = JSON.parse(readFileSync(path, 'utf8'));
    // Of another machine nothing stands beside what was measured here.
    if (last.machine.processor === here.processor && last.machine.kernel === here.kernel) before = last.figures.filter(({ file }) => !files.includes(file));
  } catch { /* the first, or one that was cut off */ }
  writeFileSync(path, `${JSON.stringify({ date: new Date().toISOString(), machine: here, figures: [...before, ...figures], broken }, null, 2)}\n`);
}

/** One bench in a process of its own; whatever ends it, Ctrl-C too, none of its machines is left. */
async function runBench(file) {
  const mark = process.pid.toString(36);
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', join(root, 'bench', file)], { cwd: root, stdio: ['ignore', 'pipe', 2], env: { ...process.env, STRATA_BENCH: mark } });
  const family = watchDescendants(child.pid, `STRATA_BENCH=${mark}`, benchFolder(mark));
  const looking = setInterval(() => family.look(), 1000);
  const end = () => { family.look(); child.kill('SIGKILL'); family.end(); removeFolders(mark); };
  const leave = (signal) => { end(); process.exit(signal === 'SIGINT' ? 130 : 143); };
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, leave);
  let late = false;
  const timer = setTimeout(() => { late = true; end(); }, limitMs);
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  const closed = new Promise((resolve) => { child.once('close', resolve); });
  const how = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : signal === null ? `exit code ${code}` : `ended by ${signal}`));
  });
  clearTimeout(timer);
  clearInterval(looking);
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, leave);
  const left = family.end(); // who is left may hold our pipe
  removeFolders(mark);
  await closed;
  if (left.length > 0) process.stderr.write(`! ${file} left processes running, which were ended: ${left.join(', ')}\n`);
  return { stdout: Buffer.concat(chunks).toString('utf8'), problem: late ? `did not end within ${limitMs / 1000} s` : how };
}

/** As bench/harness/own-instance.ts names them: VMMs have no environment, but their keepers have a folder. */
function benchFolder(mark) { return `/tmp/sb-${mark}-`; }

function removeFolders(mark) {
  for (const name of readdirSync('/tmp')) if (`/tmp/${name}`.startsWith(benchFolder(mark))) rmSync(join('/tmp', name), { recursive: true, force: true });
}

function machine() {
  const version = (argv) => (spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' }).stdout ?? '').split('\n')[0]?.trim() || null;
  const commit = version(['git', '-C', root, 'rev-parse', '--short', 'HEAD']);
  return {
    processor: cpus()[0]?.model ?? 'unknown', processors: cpus().length, memoryMiB: Math.round(totalmem() / 1024 ** 2), kernel: release(), commit,
    debian: readText('/etc/debian_version'), node: version([node, '--version']), qemu: version(['qemu-system-x86_64', '--version']), haproxy: version(['haproxy', '-v']), docker: version(['docker', '--version']),
  };
}

function readText(path) {
  try { return readFileSync(path, 'utf8').trim(); } catch { return null; }
}

function printTable(rows) {
  const heading = ['what', 'unit', 'strata', 'p95', 'rival', 'its value', 'ratio', 'bar', ''];
  const text = (value) => (value === undefined || value === null ? '–' : String(value));
  const cells = rows.map((one) => [one.bench, one.unit, one.strata, one.p95, one.rival, one.rivalValue, one.ratio, one.bar, one.met === undefined ? (one.bar === undefined ? '' : 'no rival') : one.met ? 'met' : 'MISSED'].map(text));
  const widths = heading.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column].length)));
  for (const row of [heading, ...cells]) process.stdout.write(`${row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()}\n`);
}
