/**
 * The API from the other side: one function for plain operations, one for streams, one for exec and
 * console. Types are read off the contract; at run time only the table of endpoints is loaded.
 */
import type { Agent as HttpAgent, IncomingMessage } from 'node:http';
import type { AnswerOf, BodyInputOf, Operation, Problem, QueryOf, StartInputOf } from '#contract';
import { endpoints, pathOf, upgradeProtocol, type OperationId, type PlainOperationId, type StreamOperationId } from '../contract/endpoints.ts';
import { ClientProblem, daemonUnreachable, strangeAnswer } from './client-problem.ts';
import type { Terminal } from './open-terminal.ts';

// By name: an import reads all that node:http exports, and one of it loads Node's fetch, which every command would wait for.
const { Agent, request } = process.getBuiltinModule('node:http');

export interface CallOptions<K extends OperationId> {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: { readonly [N in keyof QueryOf<K>]?: QueryOf<K>[N] | undefined };
  readonly body?: BodyInputOf<K>;
  /** Revision the caller saw; the server refuses with 412 where it changed. */
  readonly ifMatch?: number;
  /** Seconds to wait for an operation's end (Prefer: wait). */
  readonly waitSeconds?: number;
  readonly signal?: AbortSignal;
  /** Milliseconds of silence before giving up; default 60 s, or the wait and 30 s more. 0: none. */
  readonly timeoutMs?: number;
}

export interface Client {
  /** @throws ClientProblem what the server explained, `client.unreachable`, `client.timeout`, `client.strangeAnswer` */
  call<K extends PlainOperationId>(id: K, options?: CallOptions<K>): Promise<AnswerOf<K>>;
  /** Items of a stream until it ends or the signal is aborted (then it just ends). */
  stream<K extends StreamOperationId<'sse' | 'lines'>>(id: K, options?: CallOptions<K>): AsyncGenerator<AnswerOf<K>, void, void>;
  /** An exec or console stream; the program starts with it. */
  terminal<K extends StreamOperationId<'upgrade'>>(id: K, handle: string, start: StartInputOf<K>): Promise<Terminal>;
  close(): void;
}

const silenceLimitMs = 60_000;
const mostConnections = 16;
/** Where no name for TLS is said, Node looks whether the host is an address, by an expression that takes 20 ms to compile. */
const noName: object = { servername: '' };

export function openClient(socketPath: string): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: mostConnections });
  const transport: Transport = { socketPath, agent };
  return {
    call: async (id, options = {}) => {
      const response = await send(transport, id, options as CallOptions<OperationId>);
      return ('text' in endpoints[id] ? await readText(response) : await readAnswer(response)) as AnswerOf<typeof id>;
    },
    stream: (id, options = {}) => readStream(transport, id, options as CallOptions<OperationId>) as AsyncGenerator<AnswerOf<typeof id>, void, void>,
    terminal: (id, handle, start) => upgrade(transport, id, handle, start),
    close: () => agent.destroy(),
  };
}

/** Whether it changes nothing, so that it may be asked twice. */
export const isReading = (id: OperationId): boolean => endpoints[id].method === 'GET';

interface Transport { readonly socketPath: string; readonly agent: HttpAgent }

/** Sends the request and returns the answer's head; a status of 400 or more is thrown. */
async function send(transport: Transport, id: OperationId, options: CallOptions<OperationId>): Promise<IncomingMessage> {
  let response = await ask(transport, id, options);
  // The daemon closes what was idle for some seconds, maybe at this very moment; each connection that was kept may be such a one.
  for (let kept = mostConnections; response === 'closed' && kept > 0; kept -= 1) response = await ask(transport, id, options);
  if (response === 'closed') throw daemonUnreachable(transport.socketPath, undefined);
  if ((response.statusCode ?? 0) >= 400 && !(id === 'getReadiness' && response.statusCode === 503)) throw await readProblem(response);
  return response;
}

/** 'closed': the connection, kept from an earlier call, was closed before the daemon had read this, or this may be asked twice. */
function ask(transport: Transport, id: OperationId, options: CallOptions<OperationId>): Promise<IncomingMessage | 'closed'> {
  const endpoint = endpoints[id];
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...noName, socketPath: transport.socketPath, agent: transport.agent, method: endpoint.method,
      path: pathOf(id, options.params) + queryText(options.query),
      headers: {
        Host: 'strata', Accept: 'application/json',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
        ...(options.ifMatch === undefined ? {} : { 'If-Match': `"${options.ifMatch}"` }),
        ...(options.waitSeconds === undefined ? {} : { Prefer: `wait=${options.waitSeconds}` }),
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      timeout: 'stream' in endpoint ? 0 : options.timeoutMs ?? silenceLimitMs + (options.waitSeconds ?? 0) * 1000,
    }, resolve);
    outgoing.on('timeout', () => outgoing.destroy(new ClientProblem({ code: 'client.timeout', detail: `the daemon did not answer ${endpoint.method} ${endpoint.path} in time` })));
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (outgoing.reusedSocket && (wasUnread(error) || (error.code === 'ECONNRESET' && isReading(id)))) resolve('closed');
      else reject(translate(error, transport.socketPath));
    });
    outgoing.end(body);
  });
}

/** The daemon's end was closed already, or while our request lay there unread (unix(7): both are told apart from an end that comes after it was read). */
const wasUnread = ({ code, syscall }: NodeJS.ErrnoException): boolean => code === 'EPIPE' || (code === 'ECONNRESET' && syscall === 'read');

function translate(error: NodeJS.ErrnoException, socketPath: string): Error {
  if (error instanceof ClientProblem || error.name === 'AbortError') return error;
  if (error.code === 'EACCES') return new ClientProblem({ code: 'client.forbidden', detail: `${socketPath} may only be opened by root`, advice: 'run the command as root' }, error);
  return daemonUnreachable(socketPath, error);
}

async function readAnswer(response: IncomingMessage): Promise<unknown> {
  const text = await readText(response);
  try { return JSON.parse(text); } catch (error) { throw strangeAnswer('the daemon\'s answer is no JSON', error); }
}

async function readProblem(response: IncomingMessage): Promise<ClientProblem> {
  const text = await readText(response);
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.code === 'string' && typeof problem.detail === 'string') return new ClientProblem(problem);
  } catch { /* said below, with the text */ }
  return strangeAnswer(`the daemon answered ${response.statusCode}: ${text.slice(0, 200)}`);
}

async function readText(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  try { for await (const part of response) text += part as string; } catch (error) { throw daemonUnreachable('its socket: the line was lost', error); }
  return text;
}

async function* readStream(transport: Transport, id: OperationId, options: CallOptions<OperationId>): AsyncGenerator<unknown, void, void> {
  try {
    const response = await send(transport, id, options);
    const isEvents = 'stream' in endpoints[id] && endpoints[id].stream === 'sse';
    for await (const line of linesOf(response)) {
      if (!isEvents && line !== '') yield JSON.parse(line);
      else if (line.startsWith('data: ')) yield JSON.parse(line.slice(6));
    }
  } catch (error) {
    if (options.signal?.aborted === true) return;
    throw error instanceof ClientProblem ? error : translate(error as NodeJS.ErrnoException, transport.socketPath);
  }
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string, void, void> {
  response.setEncoding('utf8');
  let rest = '';
  for await (const part of response) {
    rest += part as string;
    const lines = rest.split('\n');
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== '') yield rest;
}

async function upgrade(transport: Transport, id: StreamOperationId<'upgrade'>, handle: string, start: unknown): Promise<Terminal> {
  const { openTerminal } = await import('./open-terminal.ts'); // few commands need it
  return new Promise((resolve, reject) => {
    const name = /\{(\w+)\}/.exec(endpoints[id].path)?.[1] as string;
    const outgoing = request({
      socketPath: transport.socketPath, method: endpoints[id].method, path: pathOf(id, { [name]: handle }), agent: false,
      headers: { Host: 'strata', Connection: 'Upgrade', Upgrade: upgradeProtocol }, timeout: silenceLimitMs,
    });
    outgoing.on('timeout', () => outgoing.destroy(new ClientProblem({ code: 'client.timeout', detail: 'the daemon did not open the stream in time' })));
    outgoing.on('error', (error) => reject(translate(error, transport.socketPath)));
    outgoing.on('response', (response) => { readProblem(response).then(reject, reject); });
    outgoing.on('upgrade', (_response, socket, head) => {
      socket.setTimeout(0);
      resolve(openTerminal(socket, head, start));
    });
    outgoing.end();
  });
}

function queryText(query: Readonly<Record<string, unknown>> | undefined): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) search.append(name, String(one));
  }
  return search.size === 0 ? '' : `?${search.toString()}`;
}

export interface FollowOptions {
  readonly signal?: AbortSignal;
  /** Called when the daemon is gone; starts it again. */
  readonly revive?: () => Promise<void>;
}

/** Attempts without news before the operation is given up: ten seconds. */
const maxLost = 50;

/** Follows an operation to its end, also across a restart of the daemon; yields each state seen. */
export async function* followOperation(client: Client, id: string, options: FollowOptions = {}): AsyncGenerator<Operation, void, void> {
  let lost = 0;
  for (;;) {
    try {
      for await (const operation of client.stream('followOperation', { params: { operation: id }, ...(options.signal === undefined ? {} : { signal: options.signal }) })) {
        lost = 0;
        yield operation;
        if (operation.finishedAt !== null) return;
      }
      if (options.signal?.aborted === true) return;
      throw daemonUnreachable('its socket: the stream ended early', undefined);
    } catch (error) {
      // The daemon completes or undoes what it began once it runs again.
      if (!(error instanceof ClientProblem) || !['client.unreachable', 'api.closing'].includes(error.code) || ++lost > maxLost) throw error;
      await new Promise((resolve) => { setTimeout(resolve, 200); });
      await options.revive?.();
    }
  }
}
