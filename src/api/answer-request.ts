/** One request from its first byte to its answer: route, read, call the backend, answer or explain. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { StrataError, type Log } from '#base';
import { endpoints, requestShape, type Endpoint, type Operation, type OperationId } from '#contract';
import { plainAnswers, streamAnswers, type Call } from './answers.ts';
import type { Backend } from './backend.ts';
import { findRoute } from './find-route.ts';
import { invalidRequest, problemOf } from './problems.ts';
import { readRequest } from './read-request.ts';
import { sendStream } from './send-stream.ts';

export interface ApiContext {
  readonly backend: Backend;
  readonly log: Log;
  /** Aborted when the API closes. */
  readonly closing: AbortSignal;
}

type AnyCall = Call<OperationId>;
const longestWaitSeconds = 600;

/** Never rejects: what goes wrong becomes a problem, or, after the first byte, the end of the connection. */
export async function answerRequest(context: ApiContext, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const requestId = randomUUID();
  const { path, search } = splitUrl(message.url ?? '/');
  response.setHeader('X-Request-Id', requestId);
  response.on('error', () => { /* the client left; the stream's signal tells whoever works for it */ });
  const gone = new AbortController();
  response.once('close', () => gone.abort(new StrataError('the client left', { code: 'api.clientGone', kind: 'unavailable' })));
  const signal = AbortSignal.any([gone.signal, context.closing]);
  try {
    const route = findRoute(message.method ?? 'GET', path);
    const request = await readRequest(message, requestShape(route.id), route.params, search);
    const ifMatch = revisionOf(message, endpoints[route.id]);
    const call = { backend: context.backend, ...request, ifMatch, signal, now: Date.now() } as unknown as AnyCall;
    await answer(route.id, call, message, response);
  } catch (error) {
    answerProblem(context, error, { requestId, path }, message, response);
  }
}

async function answer(id: OperationId, call: AnyCall, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const endpoint: Endpoint = endpoints[id];
  if (id === 'getOpenApi') { sendJson(response, 200, await readOpenApi()); return; }
  if (endpoint.stream !== undefined) {
    if (endpoint.stream === 'upgrade') throw new StrataError('this is a stream', { code: 'api.upgradeRequired', kind: 'invalid', advice: 'send Connection: Upgrade and Upgrade: strata-stream.v1' });
    const resumed = id === 'watchEvents' ? resumeAt(call, message) : call;
    const items = await (streamAnswers[id as keyof typeof streamAnswers] as (call: AnyCall) => Promise<AsyncIterable<unknown>>)(resumed);
    await sendStream(response, endpoint.stream, items, call.signal);
    return;
  }
  const run = plainAnswers[id as keyof typeof plainAnswers] as (call: AnyCall) => Promise<unknown>;
  const value = await run(call);
  if (endpoint.revisioned === true) response.setHeader('ETag', `"${(value as { revision: number }).revision}"`);
  if (endpoint.text !== undefined) { send(response, 200, endpoint.text, value as string); return; }
  if (id === 'getReadiness') { sendJson(response, (value as { ready: boolean }).ready ? 200 : 503, value); return; }
  if (endpoint.accepted === true && id !== 'cancelOperation' && isOperation(value)) {
    await sendOperation(call, value, message, response);
    return;
  }
  sendJson(response, endpoint.accepted === true ? 202 : 200, value);
}

/** The checked-in document; made from the routes, which the daemon need not load. */
async function readOpenApi(): Promise<unknown> {
  return JSON.parse(await readFile(new URL('../../contract/openapi.json', import.meta.url), 'utf8')) as unknown;
}

/** 202 with where to look, or 200 when it ended within the time of `Prefer: wait=<seconds>` (RFC 7240). */
async function sendOperation(call: AnyCall, started: Operation, message: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader('Location', `/v1/operations/${encodeURIComponent(started.id)}`);
  const wait = /(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])/.exec(String(message.headers['prefer'] ?? ''));
  if (wait === null) { sendJson(response, 202, started); return; }
  const seconds = Math.min(Number(wait[1]), longestWaitSeconds);
  response.setHeader('Preference-Applied', `wait=${seconds}`);
  const limit = AbortSignal.timeout(seconds * 1000);
  let latest = started;
  try {
    for await (const seen of await call.backend.operations.follow(started.id, AbortSignal.any([limit, call.signal]))) latest = seen;
  } catch (error) {
    if (!limit.aborted) throw error;
  }
  sendJson(response, latest.finishedAt === null ? 202 : 200, latest);
}

const isOperation = (value: unknown): value is Operation => typeof value === 'object' && value !== null && 'steps' in value && 'kind' in value;

/** The watch goes on after the last event a client saw. */
function resumeAt(call: AnyCall, message: IncomingMessage): AnyCall {
  const last = message.headers['last-event-id'];
  if (typeof last !== 'string') return call;
  if (!/^\d{1,15}$/.test(last)) throw invalidRequest([{ pointer: '/header/Last-Event-ID', detail: 'is no revision' }]);
  return { ...call, query: { since: Number(last) } } as unknown as AnyCall;
}

/** Revision of If-Match, where the route honours it. */
function revisionOf(message: IncomingMessage, endpoint: Endpoint): number | undefined {
  const header = message.headers['if-match'];
  if (header === undefined || header === '*' || message.method === 'GET') return undefined;
  if (endpoint.revisioned !== true) throw invalidRequest([{ pointer: '/header/If-Match', detail: 'is not honoured here' }]);
  const match = /^"(\d{1,15})"$/.exec(header);
  if (match === null) throw invalidRequest([{ pointer: '/header/If-Match', detail: 'wants one ETag in quotes, as a GET returned it' }]);
  return Number(match[1]);
}

const sendJson = (response: ServerResponse, status: number, value: unknown): void => send(response, status, 'application/json', JSON.stringify(value));

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), 'Cache-Control': 'no-store' });
  response.end(body);
}

function answerProblem(context: ApiContext, error: unknown, facts: { requestId: string; path: string }, message: IncomingMessage, response: ServerResponse): void {
  const problem = problemOf(error, facts);
  // What is said with a code and advice is an answer, not a fault of this program.
  if (problem.status === 500) context.log.error({ requestId: facts.requestId, method: message.method, path: facts.path, code: problem.code, err: error }, problem.detail);
  else if (problem.status > 500) context.log.info({ requestId: facts.requestId, method: message.method, path: facts.path, code: problem.code }, problem.detail);
  if (response.headersSent) { response.destroy(); return; }
  const body = JSON.stringify(problem);
  const allowed = problem.details?.['allowed'];
  response.writeHead(problem.status, {
    'Content-Type': 'application/problem+json', 'Content-Length': Buffer.byteLength(body),
    ...(Array.isArray(allowed) ? { Allow: allowed.join(', ') } : {}),
    ...(problem.status === 426 ? { Upgrade: 'strata-stream.v1' } : {}),
    ...(problem.status === 503 ? { 'Retry-After': '1' } : {}),
    // What was not read of the request must not be taken for the next one.
    ...(message.complete ? {} : { Connection: 'close' }),
  });
  response.end(body);
}

/** Path and query as sent; nothing is normalised, so `..` finds no route. */
export function splitUrl(url: string): { path: string; search: URLSearchParams } {
  const at = url.indexOf('?');
  return at < 0 ? { path: url, search: new URLSearchParams() } : { path: url.slice(0, at), search: new URLSearchParams(url.slice(at + 1)) };
}
