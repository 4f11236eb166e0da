/**
 * Exec and console streams: after HTTP 101 the client's first frame says what to run, then bytes flow
 * both ways (contract/stream-frames.ts) until the exit code, or a problem, as the last frame.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { StrataError } from '#base';
import { encodeStreamFrame, parameterSchema, requestShape, streamFrameTypes, upgradeProtocol, type Problem, type StreamOperationId } from '#contract';
import { splitUrl, type ApiContext } from './answer-request.ts';
import { upgradeAnswers } from './answers.ts';
import type { Backend, TerminalSession } from './backend.ts';
import { findRoute } from './find-route.ts';
import { invalidRequest, problemOf } from './problems.ts';
import { parseJson } from './read-request.ts';
import { openTerminalSession } from './terminal-session.ts';

const startLimitMs = 10_000;
type Answer = (backend: Backend, handle: string, start: unknown, session: TerminalSession) => Promise<number>;

/** Never rejects; the socket is ended in every case. */
export async function answerUpgrade(context: ApiContext, message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  const facts = { requestId: randomUUID(), path: splitUrl(message.url ?? '/').path };
  socket.on('error', () => { /* the client left; `gone` tells */ });
  let id: StreamOperationId<'upgrade'>;
  let handle: string;
  try {
    ({ id, handle } = acceptUpgrade(message));
  } catch (error) {
    refuse(socket, problemOf(error, facts));
    return;
  }
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${upgradeProtocol}\r\nX-Request-Id: ${facts.requestId}\r\n\r\n`);
  const terminal = openTerminalSession(socket, head);
  try {
    const start = readStart(id, await terminal.start(startLimitMs));
    const code = await (upgradeAnswers[id] as Answer)(context.backend, handle, start, terminal.session);
    await terminal.end(encodeStreamFrame(streamFrameTypes.exit, JSON.stringify({ code })));
  } catch (error) {
    const problem = problemOf(error, facts);
    if (problem.status >= 500 && !terminal.session.gone.aborted) context.log.error({ requestId: facts.requestId, path: facts.path, code: problem.code, err: error }, problem.detail);
    await terminal.end(encodeStreamFrame(streamFrameTypes.problem, JSON.stringify(problem)));
  }
}

function acceptUpgrade(message: IncomingMessage): { id: StreamOperationId<'upgrade'>; handle: string } {
  const { path, search } = splitUrl(message.url ?? '/');
  const route = findRoute(message.method ?? 'GET', path);
  if (String(message.headers.upgrade).toLowerCase() !== upgradeProtocol || !(route.id in upgradeAnswers)) {
    throw new StrataError('this stream speaks another protocol', { code: 'api.upgradeRequired', kind: 'invalid', advice: `send Upgrade: ${upgradeProtocol}` });
  }
  const handle = Object.values(route.params)[0] as string;
  if (!parameterSchema.safeParse(handle).success) throw invalidRequest([{ pointer: '/path', detail: 'is no name' }]);
  if (search.size > 0) throw invalidRequest([{ pointer: '/query', detail: 'takes no values; the first frame does' }]);
  return { id: route.id as StreamOperationId<'upgrade'>, handle };
}

function readStart(id: StreamOperationId<'upgrade'>, payload: Uint8Array): unknown {
  const { start } = requestShape(id);
  if (start === undefined) throw invalidRequest([{ pointer: '/path', detail: 'is no stream' }]);
  const result = start.safeParse(parseJson(payload));
  if (result.success) return result.data;
  throw invalidRequest(result.error.issues.slice(0, 32).map((issue) => ({ pointer: `/body/${issue.path.map(String).join('/')}`, detail: issue.message })));
}

function refuse(socket: Duplex, problem: Problem): void {
  const body = JSON.stringify(problem);
  const upgrade = problem.status === 426 ? `Upgrade: ${upgradeProtocol}\r\n` : '';
  socket.end(`HTTP/1.1 ${problem.status} Refused\r\n${upgrade}Content-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}
