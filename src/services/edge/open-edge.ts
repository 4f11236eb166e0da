/**
 * The daemon's side of the edge: starts it where it does not run, finds the running one again, tells it its state. The
 * edge is never a child to wait for: it is detached, writes its own log and goes on when the daemon ends.
 */
import { spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asStrataError, childEnvironment, identifyProcess, isAlive, runProcess, signalProcess, StrataError, systemClock, waitUntil, watchProcess, type Instance, type Log, type ProcessIdentity } from '#base';
import { z } from 'zod';
import { watchRequest, type EdgeRequest, type EdgeStats } from './edge-messages.ts';
import { edgeStateSchema, type EdgeState } from './edge-state.ts';

export interface EdgeDeps {
  readonly instance: Instance;
  readonly log: Log;
  /** Port for DNS on the gateway address; default 53. */
  readonly namePort?: number;
}

export interface Edge {
  /** Finds the running edge or starts one; returns when it answers. */
  ensure(): Promise<void>;
  /** Makes it so; starts the edge where it does not run. Returns when its sockets follow. */
  apply(state: EdgeState): Promise<void>;
  stats(): Promise<EdgeStats>;
  /** Ends the edge and waits until it is gone. */
  stop(): Promise<void>;
}

export interface EdgeDriver extends Edge {
  /** Lets go of the edge without touching it (the daemon ends). */
  release(): void;
}

const replySchema = z.union([
  z.object({ stats: z.object({
    pid: z.int(), held: z.int(), forwarded: z.int(), timedOut: z.int(), refused: z.int(), wakes: z.record(z.string(), z.int()),
    names: z.object({ answered: z.int(), forwarded: z.int(), failed: z.int() }), problems: z.array(z.string()),
    datagrams: z.object({ conversations: z.int(), relayed: z.int(), dropped: z.int() }).optional(),
  }) }),
  z.object({ error: z.string() }),
]);

const programPath = fileURLToPath(new URL('../../bin/strata-edge.ts', import.meta.url));
const memoryFlags = ['--max-semi-space-size=1', '--max-old-space-size=64'];
/** How long a killed edge may take until its socket is closed. */
const dyingLimitMs = 2000;
const maxReplyBytes = 4 * 1024 * 1024;

export function openEdge(deps: EdgeDeps): EdgeDriver {
  const { instance, log } = deps;
  const socketPath = join(instance.runDir, 'edge.sock');
  let starting: Promise<void> | undefined;
  let watched: number | undefined;
  let unwatch: (() => void) | undefined;
  let released = false;

  /** An edge that dies hangs up on whoever asks it then: asked again in a moment it is gone. */
  async function statsIfThere(): Promise<EdgeStats | undefined> {
    for (const end = systemClock.monotonic() + dyingLimitMs; ;) {
      try {
        return await request(socketPath, { do: 'stats' });
      } catch (error) {
        if (isAbsent(error)) return undefined;
        if (!hungUp(error) || systemClock.monotonic() > end) throw error;
        await systemClock.wait(20);
      }
    }
  }

  async function ensure(): Promise<void> {
    const stats = await statsIfThere();
    if (stats !== undefined) {
      await watch(stats.pid);
      return;
    }
    starting ??= startEdge(deps, socketPath).then(watch).finally(() => { starting = undefined; });
    await starting;
  }

  /** An edge that dies unasked is started again at once; it follows its last state by itself. Where that fails the next `apply` tries anew. */
  async function watch(pid: number): Promise<void> {
    if (watched === pid || released) return;
    const identity = await identifyProcess(pid);
    if (identity === undefined || watched === pid) return;
    unwatch?.();
    watched = pid;
    unwatch = watchProcess(identity, socketPath, () => {
      watched = undefined;
      log.error({ pid }, 'the edge died; starting it again');
      ensure().catch((error: unknown) => log.error({ error: asStrataError(error, 'start of the edge').message }, 'the edge could not be started again'));
    }, watchRequest);
  }

  function forget(): void {
    unwatch?.();
    unwatch = undefined;
    watched = undefined;
  }

  async function stop(): Promise<void> {
    forget();
    const stats = await statsIfThere();
    if (stats === undefined) return;
    const identity = await identifyProcess(stats.pid);
    await request(socketPath, { do: 'stop' });
    if (identity !== undefined) await endProcess(identity);
  }

  /** An edge that was started by an earlier program and does not know what this one asks for; what it holds ends with it. */
  async function replace(why: string, wish: EdgeRequest): Promise<EdgeStats> {
    log.warn({ why }, 'the edge that runs does not understand its state, and is replaced');
    await stop();
    await ensure();
    return request(socketPath, wish);
  }

  return {
    ensure,
    async apply(state) {
      const wish: EdgeRequest = { do: 'apply', state: edgeStateSchema.parse(state) };
      await ensure();
      const stats = await request(socketPath, wish).catch((error: unknown) => {
        if (!(error instanceof StrataError && error.code === 'edge.refused')) throw error;
        return replace(error.message, wish);
      });
      if (stats.problems.length > 0) log.warn({ problems: stats.problems }, 'the edge cannot listen everywhere');
    },
    async stats() {
      const stats = await statsIfThere();
      if (stats === undefined) throw new StrataError('the edge does not run', { code: 'edge.notRunning', kind: 'unavailable', advice: 'it is started again with the next change of traffic' });
      return stats;
    },
    stop,
    release() {
      released = true;
      forget();
    },
  };
}

/** Returns its process id when it answers. */
async function startEdge(deps: EdgeDeps, socketPath: string): Promise<number> {
  const { instance, log } = deps;
  await mkdir(instance.runDir, { recursive: true, mode: 0o700 });
  await mkdir(instance.stateDir, { recursive: true, mode: 0o700 });
  // With its code in the compile cache the edge never loads the TypeScript stripper: 16 MiB less for all its life.
  const env = { ...childEnvironment, NODE_COMPILE_CACHE: join(instance.cacheDir, 'edge-code') };
  await runProcess([process.execPath, programPath, '--warm'], { env, timeoutMs: 30_000 });
  const logFile = await open(join(instance.runDir, 'edge.log'), 'a', 0o600);
  try {
    const args = [...memoryFlags, programPath, '--socket', socketPath, '--state', join(instance.stateDir, 'edge-state.json'), '--name-port', String(deps.namePort ?? 53)];
    const child = spawn(process.execPath, args, { cwd: '/', env, detached: true, stdio: ['ignore', logFile.fd, logFile.fd] });
    child.on('error', (error) => log.error({ error: error.message }, 'the edge could not be started'));
    child.unref();
    const answers = async () => { try { return await request(socketPath, { do: 'stats' }); } catch (error) { if (isAbsent(error)) return undefined; throw error; } };
    const { pid } = await waitUntil(answers, { what: 'the edge answers', limitMs: 15_000 });
    log.info({ pid }, 'edge started');
    return pid;
  } finally {
    await logFile.close();
  }
}

async function endProcess(identity: ProcessIdentity): Promise<void> {
  const gone = async () => !(await isAlive(identity));
  try {
    await waitUntil(gone, { what: 'the edge ends', limitMs: 3000 });
  } catch {
    await signalProcess(identity, 'SIGKILL');
    await waitUntil(gone, { what: 'the killed edge ends', limitMs: 3000 });
  }
}

const causeCode = (error: unknown): string => ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? '';
const isAbsent = (error: unknown): boolean => ['ENOENT', 'ECONNREFUSED'].includes(causeCode(error));
const hungUp = (error: unknown): boolean => ['ECONNRESET', 'EPIPE'].includes(causeCode(error));

/** @throws StrataError `edge.unreachable` (cause: the system's error), `edge.refused` (the edge said no) */
function request(socketPath: string, what: EdgeRequest): Promise<EdgeStats> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const fail = (text: string, cause?: unknown) => {
      socket.destroy();
      reject(new StrataError(`the edge ${text}`, { code: 'edge.unreachable', kind: 'unavailable', cause }));
    };
    socket.setTimeout(10_000, () => fail('did not answer within 10 s'));
    socket.on('error', (error) => fail(`cannot be reached: ${error.message}`, error));
    socket.on('connect', () => { socket.write(`${JSON.stringify(what)}\n`); });
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxReplyBytes) fail('answered with too much');
      else chunks.push(chunk);
    });
    socket.on('end', () => {
      socket.destroy();
      const reply = parseReply(Buffer.concat(chunks).toString('utf8'));
      if (bytes === 0) fail('hung up without an answer', Object.assign(new Error('hung up'), { code: 'ECONNRESET' }));
      else if (reply === undefined) fail('answered with something unreadable');
      else if ('error' in reply) reject(new StrataError(`the edge refused: ${reply.error}`, { code: 'edge.refused', kind: 'internal' }));
      else resolve(reply.stats);
    });
  });
}

function parseReply(text: string): z.infer<typeof replySchema> | undefined {
  try {
    return replySchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
