/**
 * The resident: answers commands on a socket, until nobody has asked for a while, its own code has changed, another has
 * taken its place, or it is told to end. Whatever it does not answer the callers do themselves, so it owes nobody anything.
 */
import { chmodSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { encodeAnswer, parseRequest, requestLength, requestMost, type Answer, type Request, type RunRequest } from './frames.ts';

export interface ResidentOptions {
  readonly socketPath: string;
  /** Ends after so long without a request. */
  readonly idleMs: number;
  /** Device and inode of this process's root and mount namespace, as callers say theirs. */
  readonly root: string;
  /** Of its own sources, now. */
  readonly fingerprint: () => string;
  readonly answer: (request: RunRequest, interrupted: AbortSignal) => Promise<Answer | undefined>;
}

/** How long one that another has taken the place of may stay. */
const lookMs = 2_000;
/** A caller that connects and says nothing is not waited for. */
const silenceMs = 5_000;

/** Resolves when it has ended. @throws where the socket cannot be made */
export async function serveRequests(options: ResidentOptions): Promise<void> {
  const { socketPath, idleMs } = options;
  const loaded = options.fingerprint();
  const ended = Promise.withResolvers<void>();
  // Made under a name of its own and moved: whoever finds the socket finds somebody behind it, and the last of two that began at once stays.
  const own = `${socketPath}.${process.pid}`;
  mkdirSync(dirname(socketPath), { recursive: true });
  rmSync(own, { force: true });
  const server = createServer((socket) => { receive(socket); });
  const idle = setTimeout(() => end(), idleMs);
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => { server.once('error', reject).listen(own, resolve); });
  } finally { process.umask(mask); }
  chmodSync(own, 0o600);
  renameSync(own, socketPath);
  const inode = statSync(socketPath).ino;
  const isOwn = () => statSync(socketPath, { throwIfNoEntry: false })?.ino === inode;
  const look = setInterval(() => { if (!isOwn()) end(); }, Math.min(idleMs, lookMs));

  function end(): void {
    clearTimeout(idle);
    clearInterval(look);
    if (isOwn()) rmSync(socketPath, { force: true });
    server.close(() => ended.resolve());
  }

  function receive(socket: Socket): void {
    const interrupted = new AbortController();
    let received = Buffer.alloc(0);
    let taken = false;
    const onData = (chunk: Buffer) => {
      if (taken) return;
      received = Buffer.concat([received, chunk]);
      const length = requestLength(received) ?? 0;
      if (Math.max(received.length, length) > requestMost) socket.destroy();
      if (length === 0 || received.length < length) return;
      taken = true;
      void settle(parseRequest(received), interrupted.signal).then((answer) => { socket.end(encodeAnswer(answer), () => { socket.destroy(); }); });
    };
    socket.on('data', onData).setTimeout(silenceMs, () => { if (!taken) socket.destroy(); });
    socket.on('error', () => { socket.destroy(); });
    // A caller that goes before it has its answer was interrupted.
    socket.once('close', () => { interrupted.abort(new Error('the caller has gone')); });
  }

  async function settle(request: Request | undefined, interrupted: AbortSignal): Promise<Answer | undefined> {
    if (request === 'end' || options.fingerprint() !== loaded) { end(); return undefined; }
    if (request === undefined || request.root !== options.root) return undefined;
    idle.refresh();
    return options.answer(request, interrupted);
  }

  await ended.promise;
}
