/**
 * The one way to run a short-lived program: an argv array (never a shell), a time limit, a bounded
 * output, an own process group that is gone when the promise settles.
 */
import { spawn } from 'node:child_process';
import { StrataError } from './errors.ts';

export interface RunOptions {
  readonly timeoutMs?: number; // default 60 s
  /** What comes later lets the program start meanwhile; where it never comes, the program's input ends. */
  readonly input?: string | Uint8Array | Promise<string>;
  readonly cwd?: string;
  /** Whole environment of the child; default PATH, HOME and LC_ALL=C only. */
  readonly env?: Readonly<Record<string, string>>;
  /** Bytes of stdout kept at most; more is an error. Default 16 MiB. */
  readonly maxOutputBytes?: number;
  /** Exit codes that are not errors; default only 0. */
  readonly okCodes?: readonly number[];
  readonly signal?: AbortSignal;
  /** Told each time it has printed something, before it ends. */
  readonly heard?: () => void;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment given to every child unless it asks for another. */
export const childEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C',
};

/**
 * Runs argv and returns its output.
 * @throws StrataError `process.missing` (no such program), `process.timeout`, `process.tooMuchOutput`,
 *   `process.failed` (exit code not in okCodes, or a signal); the message holds the last lines of stderr.
 */
export function runProcess(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<RunResult> {
  const [program, ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd, env: { ...(options.env ?? childEnvironment) }, stdio: ['pipe', 'pipe', 'pipe'], detached: true,
    });
    const limit = options.maxOutputBytes ?? 16 * 1024 * 1024;
    const out: Buffer[] = [];
    let outBytes = 0;
    let err = '';
    let problem: StrataError | undefined;
    const end = (why: StrataError) => {
      problem ??= why;
      killGroup(child.pid);
    };
    const timer = setTimeout(() => end(failure(argv, 'process.timeout', 'timeout', `did not end within ${options.timeoutMs ?? 60_000} ms`)), options.timeoutMs ?? 60_000);
    const onAbort = () => end(failure(argv, 'process.cancelled', 'unavailable', 'was cancelled'));
    options.signal?.addEventListener('abort', onAbort, { once: true });
    child.stdout.on('data', (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes > limit) end(failure(argv, 'process.tooMuchOutput', 'internal', `printed more than ${limit} bytes`));
      else out.push(chunk);
      options.heard?.();
    });
    child.stderr.on('data', (chunk: Buffer) => { err = (err + chunk.toString('utf8')).slice(-64 * 1024); });
    child.on('error', (error: NodeJS.ErrnoException) => {
      problem ??= error.code === 'ENOENT'
        ? failure(argv, 'process.missing', 'unavailable', 'is not installed', 'run `strata doctor` to see what is missing')
        : failure(argv, 'process.failed', 'internal', error.message);
      settle(-1, null);
    });
    child.stdin.on('error', () => { /* the child closed its input early; its exit code tells the story */ });
    let settled = false;
    const settle = (code: number | null, signal: string | null) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      if (problem !== undefined) return reject(problem);
      if (code === null || !(options.okCodes ?? [0]).includes(code)) {
        const how = code === null ? `was ended by ${signal}` : `failed with exit code ${code}`;
        return reject(failure(argv, 'process.failed', 'internal', `${how}: ${lastLines(err)}`, undefined, { code, stderr: err.slice(-4096) }));
      }
      resolve({ code, stdout: Buffer.concat(out).toString('utf8'), stderr: err });
    };
    child.on('close', settle);
    if (options.input instanceof Promise) options.input.then((text) => child.stdin.end(text), () => child.stdin.end());
    else child.stdin.end(options.input);
  });
}

function failure(argv: readonly string[], code: string, kind: 'timeout' | 'internal' | 'unavailable', what: string, advice?: string, details?: Record<string, unknown>): StrataError {
  return new StrataError(`${argv[0]} ${what}`, { code, kind, details: { argv: argv.slice(0, 12), ...details }, ...(advice === undefined ? {} : { advice }) });
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-3).join(' | ').slice(-600);
}

function killGroup(pid: number | undefined): void {
  if (!Number.isInteger(pid) || (pid as number) <= 1) return;
  try { process.kill(-(pid as number), 'SIGKILL'); } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
