/** Rule B9: starting programs without a copy of the process that starts them. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { childEnvironment, runProcess } from '../run-process.ts';
import { ensureQuickFork } from './fork-quickly.ts';

const cacheDir = mkdtempSync(join(tmpdir(), 'strata-fork-'));
after(() => rmSync(cacheDir, { recursive: true, force: true }));
const base = new URL('../index.ts', import.meta.url).href;

async function library(): Promise<string> {
  const made = await ensureQuickFork({ cacheDir });
  ok('path' in made, 'why' in made ? made.why : '');
  return made.path;
}

/** What a process prints that has it, or not. */
const within = async (code: string, env: Record<string, string> = {}): Promise<string> => (await runProcess([process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', code], { env: { ...childEnvironment, ...env }, timeoutMs: 60_000 })).stdout;

/** Faults of a process that has started a program and then writes 64 MiB that it had written before. */
const faults = `
import { spawn } from 'node:child_process';
const held = Buffer.alloc(64 << 20, 1);
const child = spawn('/bin/cat', [], { stdio: ['pipe', 'ignore', 'ignore'] });
await new Promise((resolve) => child.once('spawn', resolve));
const before = process.resourceUsage().minorPageFault;
held.fill(2);
console.log(process.resourceUsage().minorPageFault - before);
child.stdin.end();
`;

test('[B9] what a process has in memory is not copied when it starts a program', async () => {
  const [quick, usual] = [Number(await within(faults, { LD_PRELOAD: await library() })), Number(await within(faults))];
  ok(quick < 2_000, `${quick} faults`);
  ok(usual > 10_000, `a fork would cost ${usual} faults: were it as few, the library would be of no use here`);
});

test('[B9] many programs at once get their own words, folders, inputs and environments, and leave the starter\'s alone', async () => {
  const code = `
import { runProcess } from ${JSON.stringify(base)};
const before = JSON.stringify(process.env);
const all = await Promise.all(Array.from({ length: 60 }, async (_, at) => {
  const { stdout, code } = await runProcess(['/bin/sh', '-c', 'pwd; echo $N; cat | wc -c; exit ' + (at % 3)], { env: { PATH: '/bin:/usr/bin', N: String(at) }, cwd: at % 2 === 0 ? '/' : '/usr', input: 'x'.repeat(at * 1000), okCodes: [0, 1, 2] });
  return stdout === [at % 2 === 0 ? '/' : '/usr', at, at * 1000, ''].join('\\n') && code === at % 3;
}));
const missing = await runProcess(['/nonexistent/true']).catch((error) => error.code);
const late = await runProcess(['/bin/sleep', '100'], { timeoutMs: 100 }).catch((error) => error.code);
console.log(all.every((one) => one), missing, late, JSON.stringify(process.env) === before);
`;
  const path = await library();
  for (const env of [{ LD_PRELOAD: path }, {}]) equal(await within(code, env), 'true process.missing process.timeout true\n');
});

test('[B9] a process takes its own place once, with its words, and neither it nor its programs keep a trace in their environment', async () => {
  const program = join(cacheDir, 'program.mjs');
  writeFileSync(program, `
import { readFileSync } from 'node:fs';
import { forkQuickly, runProcess, silentLog } from ${JSON.stringify(base)};
await forkQuickly({ cacheDir: ${JSON.stringify(cacheDir)} }, silentLog);
const { stdout } = await runProcess(['/usr/bin/env'], { env: { ...process.env } });
console.log(JSON.stringify({ pid: process.pid, words: process.argv.slice(2), options: process.execArgv, loaded: readFileSync('/proc/self/maps', 'utf8').includes('quick-fork-'), trace: /LD_PRELOAD|QUICK_FORK/.test(stdout + JSON.stringify(process.env)) }));
`);
  await library();
  const run = async (env: Record<string, string> = {}) => JSON.parse((await runProcess([process.execPath, '--disable-warning=ExperimentalWarning', '--max-semi-space-size=4', program, 'some', 'words'], { env: { ...childEnvironment, ...env } })).stdout) as Record<string, unknown>;
  const { pid, ...seen } = await run();
  equal(typeof pid, 'number');
  deepEqual(seen, { words: ['some', 'words'], options: ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4'], loaded: true, trace: false });
  equal((await run({ LD_PRELOAD: '/lib/x86_64-linux-gnu/libc.so.6' }))['loaded'], false, 'what somebody else wants loaded is left alone');
});

test('[B9] where it cannot be had, that is kept with its reason, and the process does without', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-fork-unfit-'));
  try {
    const made = await ensureQuickFork({ cacheDir: folder });
    ok('path' in made);
    rmSync(made.path);
    writeFileSync(`${made.path}.unfit`, 'it was tried');
    deepEqual(await ensureQuickFork({ cacheDir: folder }), { why: 'it was tried' });
    equal(existsSync(made.path), false);
    deepEqual(readdirSync(join(folder, 'quick-fork')).filter((name) => !name.endsWith('.unfit')), [], 'no half library is left');
    match(made.path, /quick-fork-[0-9a-f]{16}\.so$/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
