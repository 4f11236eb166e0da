/**
 * The host's end of the agent's line, for tests: connects to the chardev's UNIX socket, resets the line, and
 * speaks the protocol. Deliberately small and independent of the product's own client, so that each checks the other.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { encodeFrame, FrameDecoder, frameTypes, maxDataBytes, streamWindow, type AgentCalls, type AgentEvent, type AgentMethod, type Frame } from '#guest-protocol';

export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** One stream of a call: what came out, and a way to send. */
export interface TestStream {
  readonly id: number;
  readonly out: Buffer[];
  readonly err: Buffer[];
  outText(): string;
  errText(): string;
  /** Resolves when the bytes are all sent, which waits for the guest's credit. */
  send(bytes: Uint8Array): Promise<void>;
  end(): void;
  /** While held, nothing is credited: the reader is slow. */
  hold(held: boolean): void;
  /** Exit code of an exec, or 0 at the end of a log; rejects when the line is lost. */
  readonly done: Promise<number>;
}

export interface LineClient {
  call<M extends AgentMethod>(method: M, params: AgentCalls[M]['params'], limitMs?: number): Promise<AgentCalls[M]['result']>;
  openStream(): TestStream;
  readonly events: AgentEvent[];
  /** Looks at all events so far and to come. */
  event(matches: (event: AgentEvent) => boolean, limitMs?: number): Promise<AgentEvent>;
  close(): Promise<void>;
}

interface OpenStream { room: number; held: boolean; owed: number; wake: () => void; readonly out: Buffer[]; readonly err: Buffer[]; settle: (code: number) => void; fail: (error: Error) => void }

/** @param garbage bytes sent before the reset, as a host leaves them that died in the middle of a frame */
export async function connectLine(path: string, options: { readonly garbage?: Uint8Array; readonly limitMs?: number } = {}): Promise<LineClient> {
  const socket = await openSocket(path);
  const nonce = randomBytes(16).toString('hex');
  if (options.garbage !== undefined) socket.write(options.garbage);
  socket.write(encodeFrame(frameTypes.reset, 0, Buffer.from(nonce)));
  const rest = await awaitReset(socket, nonce, options.limitMs ?? 60_000);
  return speak(socket, rest);
}

function openSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Everything before the answer belongs to an earlier connection. */
function awaitReset(socket: Socket, nonce: string, limitMs: number): Promise<Buffer> {
  const answer = Buffer.from(encodeFrame(frameTypes.reset, 0, Buffer.from(nonce)));
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const timer = setTimeout(() => { socket.destroy(); reject(new Error(`the agent did not answer within ${limitMs} ms`)); }, limitMs);
    const look = (chunk: Buffer): void => {
      seen = Buffer.concat([seen, chunk]);
      const at = seen.indexOf(answer);
      if (at < 0) return;
      clearTimeout(timer);
      socket.off('data', look);
      resolve(seen.subarray(at + answer.length));
    };
    socket.on('data', look);
  });
}

function speak(socket: Socket, rest: Buffer): LineClient {
  const decoder = new FrameDecoder();
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const streams = new Map<number, OpenStream>();
  const events: AgentEvent[] = [];
  const listeners = new Set<(event: AgentEvent) => void>();
  let nextId = 1;
  let closed = false;

  const put = (type: Parameters<typeof encodeFrame>[0], stream: number, payload: Uint8Array) => socket.write(encodeFrame(type, stream, payload));
  const credit = (id: number, stream: OpenStream, count: number): void => {
    stream.owed += count;
    if (stream.held || stream.owed === 0) return;
    const payload = Buffer.alloc(4);
    payload.writeUInt32LE(stream.owed);
    stream.owed = 0;
    put(frameTypes.credit, id, payload);
  };
  const hear = (event: AgentEvent): void => {
    events.push(event);
    for (const listener of [...listeners]) listener(event);
    if (event.event === 'exit') streams.get(event.stream)?.settle(event.code);
    if (event.event !== 'end') return;
    if (event.error === '') streams.get(event.stream)?.settle(0);
    else streams.get(event.stream)?.fail(new Error(event.error));
  };
  const json = (payload: Uint8Array): void => {
    const value = JSON.parse(Buffer.from(payload).toString('utf8')) as { id?: number; result?: unknown; error?: { code: string; message: string } } & AgentEvent;
    if (value.id === undefined) return hear(value);
    const asked = waiting.get(value.id);
    waiting.delete(value.id);
    if (value.error !== undefined) asked?.reject(new Refusal(value.error.code, value.error.message));
    else asked?.resolve(value.result);
  };
  const take = (frame: Frame): void => {
    if (frame.type === frameTypes.json) return json(frame.payload);
    const stream = streams.get(frame.stream);
    if (stream === undefined) return;
    if (frame.type === frameTypes.data || frame.type === frameTypes.errorData) {
      (frame.type === frameTypes.data ? stream.out : stream.err).push(Buffer.from(frame.payload));
      credit(frame.stream, stream, frame.payload.length);
    } else if (frame.type === frameTypes.credit) {
      stream.room += Buffer.from(frame.payload).readUInt32LE(0);
      stream.wake();
    }
  };
  const lost = (): void => {
    closed = true;
    for (const one of waiting.values()) one.reject(new Error('the line is lost'));
    for (const one of streams.values()) one.fail(new Error('the line is lost'));
    waiting.clear();
  };
  socket.on('data', (chunk: Buffer) => { for (const frame of decoder.push(chunk)) take(frame); });
  socket.on('close', lost);
  socket.on('error', lost);
  for (const frame of decoder.push(rest)) take(frame);

  return {
    events,
    call: (method, params, limitMs = 60_000) => new Promise((resolve, reject) => {
      if (closed) return reject(new Error('the line is lost'));
      const id = nextId;
      nextId += 1;
      const timer = setTimeout(() => { waiting.delete(id); reject(new Error(`${method} was not answered within ${limitMs} ms`)); }, limitMs);
      waiting.set(id, {
        resolve: (value) => { clearTimeout(timer); resolve(value as never); },
        reject: (error) => { clearTimeout(timer); reject(error); },
      });
      put(frameTypes.json, 0, Buffer.from(JSON.stringify({ id, method, params })));
    }),
    openStream: () => openStream(nextId++, streams, put, credit),
    event: (matches, limitMs = 60_000) => new Promise((resolve, reject) => {
      const found = events.find(matches);
      if (found !== undefined) return resolve(found);
      const end = (work: () => void): void => { clearTimeout(timer); listeners.delete(listen); work(); };
      const listen = (event: AgentEvent): void => { if (matches(event)) end(() => resolve(event)); };
      const timer = setTimeout(() => end(() => reject(new Error(`no such event within ${limitMs} ms; events: ${JSON.stringify(events.slice(-5))}`))), limitMs);
      listeners.add(listen);
    }),
    close: () => new Promise((resolve) => {
      if (socket.destroyed) return resolve();
      socket.once('close', () => resolve());
      socket.destroy();
    }),
  };
}

type Put = (type: Parameters<typeof encodeFrame>[0], stream: number, payload: Uint8Array) => unknown;

function openStream(id: number, streams: Map<number, OpenStream>, put: Put, credit: (id: number, stream: OpenStream, count: number) => void): TestStream {
  let settle: (code: number) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const done = new Promise<number>((resolve, reject) => { settle = resolve; fail = reject; });
  done.catch(() => undefined); // who waits for it hears of it
  const stream: OpenStream = { room: streamWindow, held: false, owed: 0, wake: () => undefined, out: [], err: [], settle, fail };
  streams.set(id, stream);
  return {
    id, out: stream.out, err: stream.err, done,
    outText: () => Buffer.concat(stream.out).toString('utf8'),
    errText: () => Buffer.concat(stream.err).toString('utf8'),
    send: async (bytes) => {
      for (let at = 0; at < bytes.length;) {
        if (stream.room === 0) await new Promise<void>((resolve) => { stream.wake = resolve; });
        const count = Math.min(stream.room, maxDataBytes, bytes.length - at);
        stream.room -= count;
        put(frameTypes.data, id, bytes.subarray(at, at + count));
        at += count;
      }
    },
    end: () => { put(frameTypes.endOfData, id, new Uint8Array(0)); },
    hold: (held) => { stream.held = held; credit(id, stream, 0); },
  };
}
