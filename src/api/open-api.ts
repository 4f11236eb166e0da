/**
 * The API's server: HTTP/1.1 on a UNIX socket that only root may open. Plain node:http with a table of
 * routes (docs/decisions/0007-plain-http-for-the-api.md).
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, unlink } from 'node:fs/promises';
import type { IncomingMessage, Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { StrataError, asStrataError, type Log } from '#base';
import { endpoints } from '#contract';
import { answerRequest, type ApiContext } from './answer-request.ts';
import { answerUpgrade } from './answer-upgrade.ts';
import type { Backend } from './backend.ts';
import { problemOf } from './problems.ts';

// By name: an import reads all that node:http exports, and one of it loads Node's fetch, 15 MB that a resting daemon never uses.
const { createServer } = process.getBuiltinModule('node:http');

export interface ApiOptions {
  readonly backend: Backend;
  readonly socketPath: string;
  readonly log: Log;
}

export interface OpenedApi {
  /** Ends streams and connections, removes the socket. */
  close(): Promise<void>;
}

const maxConnections = 512;
const pathLimit = 107;

/**
 * Serves the backend on the socket.
 * @throws StrataError `api.alreadyServed` where another daemon answers there, `api.socketPathTooLong`
 */
export async function openApi(options: ApiOptions): Promise<OpenedApi> {
  if (Buffer.byteLength(options.socketPath) > pathLimit) {
    throw new StrataError(`the socket path ${options.socketPath} is longer than ${pathLimit} bytes`, { code: 'api.socketPathTooLong', kind: 'invalid', advice: 'choose a shorter STRATA_RUN' });
  }
  const closing = new AbortController();
  const context: ApiContext = { backend: options.backend, log: options.log, closing: closing.signal };
  const server = createServer({
    headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000, connectionsCheckingInterval: 5_000, maxHeaderSize: 16 * 1024,
    shouldUpgradeCallback: isStreamUpgrade,
  }, (message, response) => { void answerRequest(context, message, response); });
  server.maxConnections = maxConnections;
  const upgraded = new Set<Duplex>();
  server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    void answerUpgrade(context, message, socket, head);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseBrokenHttp(error, socket));
  await listen(server, options.socketPath);
  return { close: () => closeServer(server, upgraded, closing) };
}

/** Only the stream endpoints are upgraded; elsewhere the Upgrade header is ignored, as RFC 9110 permits. */
function isStreamUpgrade(message: IncomingMessage): boolean {
  const segments = (message.url ?? '').split('?')[0]?.split('/') ?? [];
  return Object.values(endpoints).some((endpoint) => {
    if (!('stream' in endpoint) || endpoint.stream !== 'upgrade') return false;
    const wanted: readonly string[] = endpoint.path.split('/');
    return wanted.length === segments.length && wanted.every((segment, at) => segment.startsWith('{') || segment === segments[at]);
  });
}

async function listen(server: Server, socketPath: string): Promise<void> {
  await mkdir(dirname(socketPath), { recursive: true, mode: 0o700 });
  if (await answersOn(socketPath)) {
    throw new StrataError(`another daemon answers on ${socketPath}`, { code: 'api.alreadyServed', kind: 'conflict', advice: 'stop it first, or use another STRATA_INSTANCE' });
  }
  await unlink(socketPath).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'ENOENT') throw error; });
  // Nobody may connect between bind and chmod: the umask makes the socket 0600 from its first moment.
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, () => { server.off('error', reject); resolve(); });
    });
  } finally {
    process.umask(umask);
  }
  await chmod(socketPath, 0o600);
}

/** Whether anybody accepts connections on the socket. */
export function answersOn(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

/** Bytes that are no HTTP: an answer by hand, because there is no request to answer. */
function refuseBrokenHttp(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') { socket.destroy(); return; }
  const code = error.code === 'HPE_HEADER_OVERFLOW' ? 'api.headersTooLarge' : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'api.requestTimeout' : 'api.invalidRequest';
  const problem = problemOf(new StrataError('the bytes sent are no valid HTTP request', { code, kind: 'invalid' }), { requestId: randomUUID(), path: '' });
  const body = JSON.stringify(problem);
  socket.end(`HTTP/1.1 ${problem.status} Refused\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}

function closeServer(server: Server, upgraded: ReadonlySet<Duplex>, closing: AbortController): Promise<void> {
  closing.abort(new StrataError('the daemon is closing', { code: 'api.closing', kind: 'unavailable', advice: 'try again' }));
  return new Promise((resolve, reject) => {
    server.close((error) => {
      const code = (error as NodeJS.ErrnoException | undefined)?.code;
      if (error !== undefined && code !== 'ERR_SERVER_NOT_RUNNING') reject(asStrataError(error, 'closing the API'));
      else resolve();
    });
    for (const socket of upgraded) socket.destroy();
    server.closeAllConnections();
  });
}

