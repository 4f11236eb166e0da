/**
 * The edge's program: its own small process that outlives the daemon. It keeps its last state in a file and follows it
 * again after a restart; the daemon speaks to it over a UNIX socket. It imports next to nothing, to stay small.
 */
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { watchRequest, type EdgeReply, type EdgeRequest } from './edge-messages.ts';
import { holdEdgeState, type EdgeHolder } from './hold-edge-state.ts';
import { readEdgeState } from './read-edge-state.ts';

export interface EdgeProgram {
  readonly socketPath: string;
  readonly statePath: string;
  readonly namePort: number;
}

const maxRequestBytes = 16 * 1024 * 1024;
const requestMs = 10_000;

/** Runs until told to stop. Exits with 3 where another edge already answers on the socket. */
export async function runEdge(program: EdgeProgram): Promise<void> {
  if (await somebodyAnswers(program.socketPath)) {
    say('another edge answers on this socket');
    process.exitCode = 3;
    return;
  }
  const holder = holdEdgeState(program.namePort);
  const state = readStateFile(program.statePath);
  if (state !== undefined) await holder.apply(state);
  mkdirSync(dirname(program.socketPath), { recursive: true, mode: 0o700 });
  try { unlinkSync(program.socketPath); } catch { /* there was none */ }
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.setTimeout(requestMs, () => socket.destroy());
    takeRequest(socket, (line) => answer(line, holder, program.statePath, stop));
  });
  const stop = () => {
    server.close();
    void holder.close().finally(() => process.exit(0));
  };
  server.listen(program.socketPath, () => chmodSync(program.socketPath, 0o600));
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => { /* the terminal that started the daemon has gone; we stay */ });
  process.on('uncaughtException', (error) => { say(`unexpected: ${error.stack ?? error.message}`); });
}

async function answer(line: string, holder: EdgeHolder, statePath: string, stop: () => void): Promise<EdgeReply> {
  const request = JSON.parse(line) as Partial<EdgeRequest>;
  if (request.do === 'apply') {
    const state = readEdgeState(request.state);
    writeStateFile(statePath, JSON.stringify(state));
    await holder.apply(state);
  } else if (request.do === 'stop') setImmediate(stop);
  else if (request.do !== 'stats') throw new Error('unknown request');
  return { stats: holder.stats() };
}

function takeRequest(socket: Socket, work: (line: string) => Promise<EdgeReply>): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxRequestBytes) { socket.destroy(); return; }
    chunks.push(chunk);
    if (chunk[chunk.length - 1] !== 10) return;
    const line = Buffer.concat(chunks.splice(0)).toString('utf8');
    if (line === watchRequest) { socket.setTimeout(0); return; }
    socket.pause();
    void Promise.resolve().then(() => work(line)).catch((error: unknown): EdgeReply => ({ error: (error as Error).message }))
      .then((reply) => socket.end(`${JSON.stringify(reply)}\n`));
  });
}

/** A damaged or foreign file is no reason not to start; the daemon sends the state again. */
function readStateFile(path: string): ReturnType<typeof readEdgeState> | undefined {
  try {
    return readEdgeState(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') say(`cannot use ${path}: ${(error as Error).message}`);
    return undefined;
  }
}

/** Old or new, never half; the base layer's way of doing this would bring its log library along. */
function writeStateFile(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const file = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
}

function somebodyAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} edge: ${text}\n`);
}
