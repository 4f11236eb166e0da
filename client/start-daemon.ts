/**
 * Any call may find the daemon gone; this starts it again and waits until it is ready. Two calls at the
 * same moment start one daemon: a file lock (flock(1), released by the kernel when its holder dies)
 * decides who does it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { ClientProblem } from './client-problem.ts';
import { openClient } from './open-client.ts';
import type { Places } from './places.ts';

export interface StartOptions {
  readonly places: Places;
  /** argv of the daemon: node, its options and the program. */
  readonly daemonArgv: readonly [string, ...string[]];
  /** Called where the daemon must be started, before it is: prepares the host. */
  readonly prepare?: () => Promise<void>;
  /** What is awaited, for people; called when it changes. */
  readonly progress?: (message: string) => void;
  /** Default 120 s: the first start may have to repair much. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
}

const pauseMs = 40;
/** glibc gives large buffers back at once, and keeps few pools: what a build once needed is not kept for ever (mallopt(3)). */
const memoryHabits = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' };

/**
 * Returns when a daemon answers and is ready; true where it had to be started.
 * @throws ClientProblem `client.daemonDied` with its last log lines, `client.daemonSlow`
 */
export async function ensureDaemon(options: StartOptions): Promise<boolean> {
  const end = performance.now() + (options.limitMs ?? 120_000);
  // One that is there but not ready may be starting, or ending: then the next has to be started after it.
  if (await becomesReady(options, end, undefined)) return false;
  await options.prepare?.();
  mkdirSync(options.places.runDir, { recursive: true, mode: 0o700 });
  mkdirSync(options.places.stateDir, { recursive: true, mode: 0o700 });
  options.progress?.('starting the daemon');
  const lock = await takeLock(options.places.startLock, end - performance.now());
  try {
    if (await becomesReady(options, end, undefined)) return false;
    await becomesReady(options, end, spawnDaemon(options));
    return true;
  } finally {
    lock.release();
  }
}

/** 'ready', why it is not, or undefined where nobody answers. */
async function readiness(socketPath: string): Promise<'ready' | { readonly waitsFor: string } | undefined> {
  const client = openClient(socketPath);
  try {
    const state = await client.call('getReadiness', { timeoutMs: 5_000 });
    if (state.ready) return 'ready';
    const open = state.checks.filter((check) => !check.ready).map((check) => (check.message === '' ? check.name : `${check.name}: ${check.message}`));
    return { waitsFor: open.join(', ') };
  } catch (error) {
    if (!(error instanceof ClientProblem)) throw error;
    if (error.code === 'client.unreachable') return undefined;
    if (error.code === 'client.timeout' || error.status >= 500) return { waitsFor: error.message };
    throw error;
  } finally {
    client.close();
  }
}

interface Daemon { readonly child: ChildProcess; /** Where its part of the log begins. */ readonly logStart: number; exit: string | undefined }

/** A process of its own session whose output goes to the log file; it outlives us. */
function spawnDaemon(options: StartOptions): Daemon {
  const log = openSync(options.places.daemonLog, 'a', 0o600);
  try {
    const [program, ...args] = options.daemonArgv;
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], cwd: '/', env: { ...process.env, ...memoryHabits } });
    const daemon: Daemon = { child, logStart: fstatSync(log).size, exit: undefined };
    child.once('error', (error) => { daemon.exit = error.message; });
    child.once('exit', (code, signal) => { daemon.exit = signal === null ? `exit code ${code}` : `signal ${signal}`; });
    child.unref();
    return daemon;
  } finally {
    closeSync(log);
  }
}

/** False where nobody answers and no daemon was started for it. */
async function becomesReady(options: StartOptions, end: number, daemon: Daemon | undefined): Promise<boolean> {
  let said = '';
  for (;;) {
    options.signal?.throwIfAborted();
    const state = await readiness(options.places.socketPath);
    if (state === 'ready') return true;
    if (state === undefined && daemon === undefined) return false;
    if (daemon?.exit !== undefined) throw died(options.places, daemon.logStart, daemon.exit);
    if (state !== undefined && state.waitsFor !== said) {
      said = state.waitsFor;
      if (said !== '') options.progress?.(`the daemon waits for ${said}`);
    }
    if (performance.now() > end) {
      throw new ClientProblem({ code: 'client.daemonSlow', detail: `the daemon is not ready${said === '' ? '' : `; it waits for ${said}`}`, advice: `its log is ${options.places.daemonLog}` });
    }
    await new Promise((resolve) => { setTimeout(resolve, pauseMs); });
  }
}

/** In its own last words where it had the time to say any. */
function died(places: Places, logStart: number, how: string): ClientProblem {
  const lines = lastLines(places.daemonLog, logStart);
  const last = lastWords(lines);
  if (last !== undefined) return new ClientProblem({ code: 'client.daemonDied', detail: `the daemon cannot start: ${last.msg}`, advice: `${last.advice === '' ? '' : `${last.advice}; `}its whole log is ${places.daemonLog}` });
  return new ClientProblem({ code: 'client.daemonDied', detail: `the daemon ended at its start (${how})${lines === '' ? '' : `:\n${lines}`}`, advice: `its whole log is ${places.daemonLog}` });
}

/** Of log lines that are JSON the last one that tells why the daemon ended (level 60: fatal). */
function lastWords(lines: string): { readonly msg: string; readonly advice: string } | undefined {
  for (const line of lines.split('\n').toReversed()) {
    try {
      const { level, msg, error, advice } = JSON.parse(line) as Record<string, unknown>;
      if (level === 60 && typeof msg === 'string') return { msg: typeof error === 'string' ? `${msg}: ${error}` : msg, advice: typeof advice === 'string' ? advice : '' };
    } catch { /* a line of Node's own */ }
  }
  return undefined;
}

function lastLines(path: string, from: number): string {
  try { return readFileSync(path).subarray(from).toString('utf8').slice(-8192).trimEnd().split('\n').slice(-8).join('\n'); } catch (error) {
    return `(its log cannot be read: ${(error as Error).message})`;
  }
}

/** Holds the lock as long as a `cat` under flock(1) lives; it ends with its stdin, also when we are killed. */
function takeLock(path: string, limitMs: number): Promise<{ release(): void }> {
  return new Promise((resolve, reject) => {
    const seconds = String(Math.max(1, Math.ceil(limitMs / 1000)));
    const holder = spawn('/usr/bin/flock', ['--timeout', seconds, path, '/bin/cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
    const failed = (why: string) => reject(new ClientProblem({ code: 'client.startLocked', detail: `the daemon cannot be started now: ${why}`, advice: `another command may be starting it; the lock is ${path}` }));
    holder.stdin.on('error', () => { /* it ended; 'exit' tells */ });
    holder.once('error', (error) => failed(error.message));
    holder.once('exit', (code) => failed(`flock ended with ${code}`));
    // cat echoes only once flock has let it run.
    holder.stdout.once('data', () => resolve({ release: () => { holder.stdin.end(); } }));
    holder.stdin.write('\n');
  });
}
