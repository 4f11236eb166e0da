/** Makes this process one that starts programs quickly (quick-fork.c): compiled and proved once on a host, then loaded by replacing the process with itself. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asStrataError } from '../errors.ts';
import type { Instance } from '../instance.ts';
import type { Log } from '../log.ts';
import { childEnvironment, runProcess } from '../run-process.ts';

const source = join(import.meta.dirname, 'quick-fork.c');
const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC'] as const;
/** Told to the process that takes our place; programs must not have it, nor the library: what does more than exec after fork(2) would be lost. */
const mark = 'STRATA_QUICK_FORK';

/** Starts programs of every kind that the daemon starts, and says what it has afterwards; `ok` where all is as it should be. */
const proof = `
const { spawnSync } = require('node:child_process');
const before = JSON.stringify(process.env);
const words = spawnSync('/usr/bin/env', [], { env: { A: 'b' }, input: 'x' }).stdout.toString();
const cat = spawnSync('/bin/cat', [], { input: 'y'.repeat(200000), cwd: '/', detached: true }).stdout.length;
const missing = spawnSync('/nonexistent/true').error.code;
const killed = spawnSync('/bin/sh', ['-c', 'kill -9 $$']).signal;
process.stdout.write(words === 'A=b\\n' && cat === 200000 && missing === 'ENOENT' && killed === 'SIGKILL' && JSON.stringify(process.env) === before ? 'ok' : 'not');
`;

/** Path of the library, or why this host cannot have it, which is kept: the next call does not try again. Never rejects for that. */
export async function ensureQuickFork(instance: Pick<Instance, 'cacheDir'>): Promise<{ readonly path: string } | { readonly why: string }> {
  const home = join(instance.cacheDir, 'quick-fork');
  const key = createHash('sha256').update(`${flags.join(' ')} ${process.arch} ${process.version}\n`).update(readFileSync(source)).digest('hex').slice(0, 16);
  const path = join(home, `quick-fork-${key}.so`);
  if (existsSync(path)) return { path };
  const unfit = `${path}.unfit`;
  if (existsSync(unfit)) return { why: readFileSync(unfit, 'utf8') };
  await mkdir(home, { recursive: true });
  const fresh = `${path}.${process.pid}`;
  try {
    await runProcess(['gcc', ...flags, '-o', fresh, source], { timeoutMs: 60_000 });
    const { stdout } = await runProcess([process.execPath, '-e', proof], { timeoutMs: 30_000, env: { ...childEnvironment, LD_PRELOAD: fresh } });
    if (stdout !== 'ok') throw new Error('programs that it started were not as they should be');
    renameSync(fresh, path);
    return { path };
  } catch (thrown) {
    const error = asStrataError(thrown, 'quick fork');
    // A missing compiler, or a busy host, may be otherwise next time.
    if (error.code !== 'process.missing' && error.code !== 'process.timeout') writeFileSync(unfit, error.message);
    return { why: error.message };
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** Returns in a process that has it, or that does without. Before anything is opened: the process begins anew. */
export async function forkQuickly(instance: Pick<Instance, 'cacheDir'>, log: Log): Promise<void> {
  const { [mark]: loaded, LD_PRELOAD: others } = process.env;
  delete process.env[mark];
  if (loaded !== undefined) {
    delete process.env['LD_PRELOAD'];
    return;
  }
  if (others !== undefined || process.execve === undefined) return; // somebody's own choice
  const library = await ensureQuickFork(instance);
  if ('why' in library) {
    log.warn({ why: library.why }, 'programs are started slowly: each by a copy of this process');
    return;
  }
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], { ...process.env as Record<string, string>, LD_PRELOAD: library.path, [mark]: 'loaded' });
}
