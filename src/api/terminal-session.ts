/** The server's end of an upgraded socket: frames in become stdin, size and signals; stdout and stderr become frames out. */
import { Readable, Writable, type Duplex } from 'node:stream';
import { StrataError } from '#base';
import { StreamFrameDecoder, encodeStreamFrame, streamFrameTypes, terminalSizeSchema, type StreamFrame, type StreamFrameType, type TerminalSize } from '#contract';
import type { TerminalSession } from './backend.ts';

export interface OpenedTerminal {
  readonly session: TerminalSession;
  /** Payload of the client's first frame. @throws StrataError `api.invalidRequest`, `api.requestTimeout` */
  start(limitMs: number): Promise<Uint8Array>;
  /** Sends the last frame after all output and ends the socket. */
  end(lastFrame: Uint8Array): Promise<void>;
}

const largestData = 64 * 1024;
const endLimitMs = 5_000;

export function openTerminalSession(socket: Duplex, head: Uint8Array): OpenedTerminal {
  const gone = new AbortController();
  const decoder = new StreamFrameDecoder();
  const input = new Readable({ read: () => socket.resume() });
  const started = Promise.withResolvers<Uint8Array>();
  started.promise.catch(() => { /* heard by start(); nobody may be waiting any more */ });
  let first = true;
  let size: TerminalSize | undefined;
  const onSize: ((size: TerminalSize) => void)[] = [];
  const onSignal: ((signal: string) => void)[] = [];

  const leave = (why: StrataError) => {
    started.reject(why);
    if (!gone.signal.aborted) gone.abort(why);
    input.destroy();
  };
  const take = (frame: StreamFrame) => {
    if (first) {
      first = false;
      if (frame.type !== streamFrameTypes.start) throw broken('the first frame must be `start`');
      started.resolve(frame.payload);
    } else if (frame.type === streamFrameTypes.input) {
      if (!input.push(Buffer.from(frame.payload))) socket.pause();
    } else if (frame.type === streamFrameTypes.endOfInput) input.push(null);
    else if (frame.type === streamFrameTypes.resize) {
      size = readSize(frame.payload);
      for (const listener of onSize) listener(size);
    } else if (frame.type === streamFrameTypes.signal) {
      const signal = readSignal(frame.payload);
      for (const listener of onSignal) listener(signal);
    } else throw broken(`frames of type ${frame.type} are not known`);
  };
  const receive = (chunk: Uint8Array) => {
    try { for (const frame of decoder.push(chunk)) take(frame); } catch (error) {
      leave(error instanceof StrataError ? error : broken((error as Error).message));
    }
  };
  input.on('error', () => { /* destroyed with the connection */ });
  socket.on('data', receive);
  socket.once('end', () => leave(clientLeft()));
  socket.once('close', () => leave(clientLeft()));
  if (head.length > 0) receive(head);

  const session: TerminalSession = {
    input, output: frameWriter(socket, streamFrameTypes.output), errors: frameWriter(socket, streamFrameTypes.errors), gone: gone.signal,
    onResize: (listener) => { onSize.push(listener); if (size !== undefined) listener(size); },
    onSignal: (listener) => { onSignal.push(listener); },
  };
  return { session, start: (limitMs) => withLimit(started.promise, limitMs), end: (last) => endSocket(socket, session, last) };
}

/** A writable whose writes wait for the socket, cut into frames. */
function frameWriter(socket: Duplex, type: StreamFrameType): Writable {
  const writer = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      let last = true;
      for (let at = 0; at < chunk.length; at += largestData) {
        if (socket.destroyed || socket.writableEnded) { done(); return; }
        last = socket.write(encodeStreamFrame(type, chunk.subarray(at, at + largestData)));
      }
      if (last || socket.destroyed) { done(); return; }
      const go = () => { socket.off('drain', go); socket.off('close', go); done(); };
      socket.on('drain', go);
      socket.on('close', go);
    },
  });
  writer.on('error', () => { /* whoever writes after the end is told by `gone` */ });
  return writer;
}

/** Output first, then the last word; a client that does not read is cut off. */
async function endSocket(socket: Duplex, session: TerminalSession, last: Uint8Array): Promise<void> {
  const timer = setTimeout(() => socket.destroy(), endLimitMs);
  try {
    await Promise.all([session.output, session.errors].map((writer) => finish(writer)));
    if (socket.destroyed) return;
    await new Promise<void>((resolve) => {
      socket.once('close', resolve);
      socket.end(last);
      // The client may have more to say; nobody listens now.
      socket.resume();
      socket.once('finish', () => { if (socket.readableEnded) resolve(); });
    });
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

function finish(writer: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (writer.writableFinished || writer.destroyed) { resolve(); return; }
    writer.once('finish', resolve);
    writer.once('close', resolve);
    writer.end();
  });
}

async function withLimit<T>(promise: Promise<T>, limitMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new StrataError('no first frame came', { code: 'api.requestTimeout', kind: 'invalid' })), limitMs);
  try { return await Promise.race([promise, late.promise]); } finally { clearTimeout(timer); }
}

function readSize(payload: Uint8Array): TerminalSize {
  try { return terminalSizeSchema.parse(JSON.parse(Buffer.from(payload).toString('utf8'))); } catch (error) {
    throw new StrataError('a resize frame wants {rows, columns}', { code: 'api.invalidRequest', kind: 'invalid', cause: error });
  }
}

function readSignal(payload: Uint8Array): string {
  const text = Buffer.from(payload.subarray(0, 64)).toString('utf8');
  if (!/^SIG[A-Z0-9+-]{1,12}$/.test(text)) throw broken('a signal frame wants a name such as SIGTERM');
  return text;
}

const broken = (what: string): StrataError => new StrataError(what, { code: 'api.invalidRequest', kind: 'invalid' });
const clientLeft = (): StrataError => new StrataError('the client left', { code: 'api.clientGone', kind: 'unavailable' });
