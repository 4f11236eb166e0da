/**
 * The host's side of the guest protocol on one line: requests with ids and limits, events, streams with
 * credit. What comes from the guest is checked before use; the first breach of the protocol ends the
 * connection, and nothing a guest sends makes the daemon's memory grow.
 */
import type { Duplex } from 'node:stream';
import { asStrataError, StrataError, type Clock, type Dice, type Log } from '#base';
import { encodeFrame, frameTypes, protocolVersion, type AgentCalls, type AgentEvent, type AgentMethod, type Frame, type FrameType, type GuestHello } from '#guest-protocol';
import type { AgentConnection, AgentStream, CallOptions } from '../machines.ts';
import { awaitReset } from './await-reset.ts';
import { checkResult, readGuestMessage } from './check-messages.ts';
import { hostStream, type HostStream } from './host-stream.ts';
import { protocolViolation } from './protocol-violation.ts';
import { frameReader } from './read-frames.ts';
import { refusalOf } from './refusal.ts';
import { toll } from './toll.ts';

export interface OpenAgentConnectionOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  /** For the guest's answer to the reset; a guest that boots answers when it is up. Default 10 s. */
  readonly handshakeMs?: number;
  readonly signal?: AbortSignal;
}

/** A connection as its owner holds it. */
export interface OpenedAgentConnection extends AgentConnection {
  readonly hello: GuestHello;
  /** Why the line was lost; undefined while it is open or where it was closed by us. */
  readonly lostBecause: StrataError | undefined;
  close(): void;
}

interface Pending {
  readonly method: AgentMethod;
  readonly stream: HostStream | undefined;
  settle(outcome: { readonly result: unknown } | { readonly error: StrataError }): void;
}

const defaultCallMs = 15_000;
/** Bytes that may wait for a guest that does not read; then calls are refused. */
const maxWaitingBytes = 8 * 1024 * 1024;
const maxStreams = 1024;
/** Answers are as large as what was asked for; nobody asked for events. */
const maxEventBytes = 160 * 1024;
/** Messages pay by length too: about 4 MB/s may last, 8 MB may come at once. Bulk data goes by streams. */
const tollBytes = 1024;
/** They pay for the time that reading them takes: what few bytes mean may be much (arrays in arrays). A second may be taken at once, a fifth of the time may last. */
const [busyMs, busyShare] = [1000, 0.2];

/**
 * Resets the line, greets the agent and returns the connection; owns the line from then on, also where it throws.
 * @throws StrataError `agent.timeout`, `agent.gone`, `agent.protocol`
 */
export async function openAgentConnection(line: Duplex, options: OpenAgentConnectionOptions): Promise<OpenedAgentConnection> {
  line.on('error', () => undefined); // 'close' follows and tells
  try {
    const rest = await awaitReset(line, { clock: options.clock, dice: options.dice, limitMs: options.handshakeMs ?? 10_000, signal: options.signal });
    const connection = new GuestLine(line, rest, options);
    const nonce = Buffer.from(options.dice.bytes(16)).toString('hex');
    const hello = await connection.call('hello', { nonce }, { timeoutMs: 10_000, ...(options.signal === undefined ? {} : { signal: options.signal }) });
    if (hello.nonce !== nonce) throw protocolViolation('an answer to somebody else\'s greeting');
    if (hello.protocol !== protocolVersion) throw new StrataError(`the guest's agent speaks protocol ${hello.protocol}, this program ${protocolVersion}`, { code: 'agent.protocol', kind: 'unavailable', advice: 'restart the machine' });
    connection.hello = hello;
    return connection as OpenedAgentConnection;
  } catch (thrown) {
    line.destroy();
    throw asStrataError(thrown, 'greeting the agent');
  }
}

export interface UngreetedOptions extends OpenAgentConnectionOptions {
  readonly answerMs: number;
  /** The last that was said on the line was such a call, whole: no reset is needed. */
  readonly inStep?: boolean;
}

/**
 * One call to an agent that nobody has greeted: a greeting makes the guest choose its boot id, which a clone may do only
 * after it has random numbers of its own. Afterwards the line is open, paused, and nobody's; where it throws it is closed.
 * @throws StrataError `agent.timeout`, `agent.gone`, `agent.protocol`, or the agent's refusal
 */
export async function callUngreeted<M extends AgentMethod>(line: Duplex, method: M, params: AgentCalls[M]['params'], options: UngreetedOptions): Promise<AgentCalls[M]['result']> {
  if (line.listenerCount('error') === 0) line.on('error', () => undefined); // 'close' follows and tells
  try {
    const rest = options.inStep === true ? new Uint8Array(0) : await awaitReset(line, { clock: options.clock, dice: options.dice, limitMs: options.handshakeMs ?? 10_000, signal: options.signal });
    const connection = new GuestLine(line, rest, options);
    const result = await connection.call(method, params, { timeoutMs: options.answerMs, ...(options.signal === undefined ? {} : { signal: options.signal }) });
    connection.letGo();
    return result;
  } catch (thrown) {
    line.destroy();
    throw thrown;
  }
}

class GuestLine implements AgentConnection {
  hello: GuestHello | undefined;
  lostBecause: StrataError | undefined;
  readonly closed: Promise<void>;
  readonly #line: Duplex;
  readonly #options: OpenAgentConnectionOptions;
  readonly #reader = frameReader();
  readonly #pending = new Map<number, Pending>();
  readonly #streams = new Map<number, HostStream>();
  readonly #execs = new Set<number>();
  readonly #listeners = new Set<(event: AgentEvent) => void>();
  readonly #frameToll;
  readonly #eventToll;
  readonly #timeToll;
  readonly #end: () => void;
  /** Forgets the line without closing it. */
  readonly letGo: () => void;
  #nextRequest = 1;
  readonly #firstStream: number;
  #nextStream: number;
  #over = false;

  constructor(line: Duplex, rest: Uint8Array, options: OpenAgentConnectionOptions) {
    this.#line = line;
    this.#options = options;
    // A guest may still tell of a stream of an earlier connection; its number must not be one of ours.
    this.#firstStream = 1 + Math.floor(options.dice.fraction() * 2 ** 30);
    this.#nextStream = this.#firstStream;
    this.#frameToll = toll(options.clock, 4000, 8000);
    this.#eventToll = toll(options.clock, 100, 500);
    this.#timeToll = toll(options.clock, busyShare * 1000, busyMs);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#end = resolve;
    const lose = () => this.#lose(undefined);
    const resume = () => { for (const stream of this.#streams.values()) stream.resume(); };
    const receive = (chunk: Buffer) => this.#receive(chunk);
    this.letGo = () => {
      line.off('close', lose).off('end', lose).off('drain', resume).off('data', receive);
      line.pause();
    };
    line.on('close', lose).on('end', lose).on('drain', resume).on('data', receive);
    if (rest.length > 0) this.#receive(rest);
    line.resume();
  }

  async call<M extends AgentMethod>(method: M, params: AgentCalls[M]['params'], options: CallOptions<AgentCalls[M]['result']> = {}): Promise<AgentCalls[M]['result']> {
    options.signal?.throwIfAborted();
    if (this.#over) throw this.#gone();
    if (this.#line.writableLength > maxWaitingBytes) throw new StrataError(`the guest's agent does not take requests (${method})`, { code: 'agent.timeout', kind: 'timeout' });
    const id = this.#nextRequest++;
    const named = typeof params === 'object' && 'stream' in params && (method === 'exec' || method === 'containerLogs') ? this.#streams.get(params.stream) : undefined;
    if (named !== undefined && method === 'exec') this.#execs.add(named.id);
    const limit = new AbortController();
    const timeoutMs = options.timeoutMs ?? defaultCallMs;
    try {
      return await new Promise<AgentCalls[M]['result']>((resolve, reject) => {
        this.#pending.set(id, {
          method, stream: named,
          settle(outcome) {
            if ('error' in outcome) return reject(outcome.error);
            const result = outcome.result as AgentCalls[M]['result'];
            try { options.heard?.(result); } catch (thrown) { return reject(asStrataError(thrown, method)); }
            resolve(result);
          },
        });
        options.signal?.addEventListener('abort', () => reject(asStrataError(options.signal?.reason, method)), { signal: limit.signal });
        this.#options.clock.wait(timeoutMs, limit.signal).then(
          () => reject(new StrataError(`the guest's agent did not answer ${method} within ${timeoutMs} ms`, { code: 'agent.timeout', kind: 'timeout', details: { method } })),
          () => undefined, // the answer came first
        );
        this.#put(frameTypes.json, 0, Buffer.from(JSON.stringify({ id, method, params })));
      });
    } catch (thrown) {
      if (named !== undefined) this.#endStream(named, (stream) => stream.fail(asStrataError(thrown, method)));
      throw thrown;
    } finally {
      this.#pending.delete(id);
      limit.abort();
    }
  }

  openStream(): AgentStream {
    if (this.#over) throw this.#gone();
    if (this.#streams.size >= maxStreams) throw new StrataError(`more than ${maxStreams} streams to one machine`, { code: 'agent.tooManyStreams', kind: 'exhausted', advice: 'end some of the programs or logs that are open' });
    const id = this.#nextStream++;
    const line = this.#line;
    const stream = hostStream(id, {
      sendData: (one, bytes) => this.#put(frameTypes.data, one, bytes),
      sendEnd: (one) => this.#put(frameTypes.endOfData, one, new Uint8Array(0)),
      grant: (one, bytes) => this.#grant(one, bytes),
      get ready() { return !line.writableNeedDrain; },
      letGo: (one) => this.#letGo(one),
    });
    this.#streams.set(id, stream);
    return stream;
  }

  onEvent(listener: (event: AgentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => { this.#listeners.delete(listener); };
  }

  close(): void {
    this.#lose(undefined);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#reader.push(chunk, (frame) => { if (!this.#over) this.#take(frame); });
    } catch (thrown) {
      this.#lose(asStrataError(thrown, 'reading from the guest'));
    }
  }

  #take(frame: Frame): void {
    if (frame.type === frameTypes.reset) return this.#slowDown(this.#frameToll.pay()); // late answer to a reset of ours
    if (frame.type === frameTypes.json) {
      const began = this.#options.clock.monotonic();
      this.#message(frame.payload);
      return this.#slowDown(this.#timeToll.pay(this.#options.clock.monotonic() - began));
    }
    if (frame.stream < this.#firstStream || frame.stream >= this.#nextStream) throw protocolViolation('a stream nobody opened');
    const stream = this.#streams.get(frame.stream);
    const isData = frame.type === frameTypes.data || frame.type === frameTypes.errorData;
    // Data is paced by its window; everything else, and what nobody wants any more, by the toll.
    if (stream === undefined || !isData || frame.payload.length === 0) this.#slowDown(this.#frameToll.pay());
    if (stream === undefined) return;
    if (isData) stream.take(frame.payload, frame.type === frameTypes.errorData);
    else if (frame.type === frameTypes.endOfData) stream.takeEnd();
    else stream.takeCredit(new DataView(frame.payload.buffer, frame.payload.byteOffset, 4).getUint32(0, true));
  }

  #message(payload: Uint8Array): void {
    this.#slowDown(this.#frameToll.pay(1 + payload.length / tollBytes));
    if (payload.length > maxEventBytes && this.#pending.size === 0) throw protocolViolation(`a message of ${payload.length} bytes that nobody asked for`);
    const message = readGuestMessage(payload);
    if (message === undefined) throw protocolViolation('a message without the form of one');
    if (message.kind === 'event') {
      if (payload.length > maxEventBytes) throw protocolViolation(`an event of ${payload.length} bytes`);
      return this.#event(message.event);
    }
    if (message.id >= this.#nextRequest) throw protocolViolation('an answer to a request that was never made');
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return; // its caller gave up
    if (message.kind === 'error') return pending.settle({ error: refusalOf(pending.method, message.code, message.message) });
    const result = checkResult(pending.method, message.result);
    if (result === undefined) throw protocolViolation(`an answer to ${pending.method} without the form of one`);
    pending.stream?.begin();
    pending.settle({ result });
  }

  #event(event: AgentEvent): void {
    this.#slowDown(this.#eventToll.pay());
    if (event.event !== 'container') {
      const stream = this.#streams.get(event.stream); // none: of an earlier connection, or let go of
      if (stream !== undefined) {
        this.#endStream(stream, () => {
          if (event.event === 'exit') stream.finish(event.code);
          else if (event.error === '') stream.finish(0);
          else stream.fail(refusalOf('containerLogs', 'failed', event.error));
        });
      }
    }
    for (const listener of [...this.#listeners]) {
      try { listener(event); } catch (thrown) { this.#options.log.warn({ error: asStrataError(thrown, 'listener').message }, 'a listener of agent events failed'); }
    }
  }

  /** Stops reading for that long: the guest has to wait, nobody else. */
  #slowDown(milliseconds: number): void {
    if (milliseconds === 0 || this.#line.isPaused()) return;
    this.#line.pause();
    this.#options.clock.wait(milliseconds).then(() => { if (!this.#over) this.#line.resume(); }, () => undefined);
  }

  #put(type: FrameType, stream: number, payload: Uint8Array): void {
    if (!this.#over) this.#line.write(encodeFrame(type, stream, payload));
  }

  #grant(id: number, bytes: number): void {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, bytes, true);
    this.#put(frameTypes.credit, id, payload);
  }

  /** A log is told to end; a program loses its terminal or pipe, and what it still prints is thrown away until it ends. */
  #letGo(id: number): void {
    this.#put(frameTypes.endOfData, id, new Uint8Array(0));
    if (!this.#execs.has(id)) {
      this.#streams.delete(id);
      return;
    }
    this.call('execSignal', { stream: id, signal: 'SIGHUP' }).catch(() => undefined); // it may have ended meanwhile
  }

  #endStream(stream: HostStream, end: (stream: HostStream) => void): void {
    this.#streams.delete(stream.id);
    this.#execs.delete(stream.id);
    end(stream);
  }

  #gone(): StrataError {
    return new StrataError(this.lostBecause === undefined ? 'the line to the guest\'s agent was lost' : `the line to the guest's agent was lost: ${this.lostBecause.message}`, { code: 'agent.gone', kind: 'unavailable', cause: this.lostBecause });
  }

  #lose(because: StrataError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.lostBecause = because;
    this.#line.destroy();
    for (const pending of this.#pending.values()) pending.settle({ error: this.#gone() });
    for (const stream of [...this.#streams.values()]) this.#endStream(stream, () => stream.fail(this.#gone()));
    this.#pending.clear();
    this.#listeners.clear();
    this.#end();
  }
}
