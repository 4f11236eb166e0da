/** The client's end of an exec or console stream (contract/stream-frames.ts). */
import { Readable, Writable, type Duplex } from 'node:stream';
import type { Problem, TerminalSize } from '#contract';
import { StreamFrameDecoder, encodeStreamFrame, streamFrameTypes, type StreamFrame } from '../contract/stream-frames.ts';
import { ClientProblem, daemonUnreachable, strangeAnswer } from './client-problem.ts';

export interface Terminal {
  /** Bytes for stdin; `end()` says there are no more. */
  readonly input: Writable;
  readonly output: Readable;
  readonly errors: Readable;
  resize(size: TerminalSize): void;
  /** 'SIGINT' */
  signal(name: string): void;
  /** Exit code, after all output arrived. Rejects with a ClientProblem. */
  readonly done: Promise<number>;
  /** Leaves; what runs there is told that the client is gone. */
  close(): void;
}

const largestData = 64 * 1024;

export function openTerminal(socket: Duplex, head: Uint8Array, start: unknown): Terminal {
  const decoder = new StreamFrameDecoder();
  const output = new Readable({ read: () => socket.resume() });
  const errors = new Readable({ read: () => socket.resume() });
  const done = Promise.withResolvers<number>();
  done.promise.catch(() => { /* heard by whoever awaits it */ });
  const settle = (end: () => void) => { output.push(null); errors.push(null); end(); };
  const take = (frame: StreamFrame) => {
    if (frame.type === streamFrameTypes.output) { if (!output.push(Buffer.from(frame.payload))) socket.pause(); }
    else if (frame.type === streamFrameTypes.errors) { if (!errors.push(Buffer.from(frame.payload))) socket.pause(); }
    else if (frame.type === streamFrameTypes.exit) settle(() => done.resolve((readJson(frame) as { code: number }).code));
    else if (frame.type === streamFrameTypes.problem) settle(() => done.reject(new ClientProblem(readJson(frame) as Problem)));
    else throw strangeAnswer(`the daemon sent a frame of type ${frame.type}`);
  };
  const receive = (chunk: Uint8Array) => {
    try { for (const frame of decoder.push(chunk)) take(frame); } catch (error) {
      settle(() => done.reject(error));
      socket.destroy();
    }
  };
  socket.on('data', receive);
  socket.on('error', () => { /* 'close' follows */ });
  socket.on('end', () => socket.end());
  socket.on('close', () => { settleOnce(output); settleOnce(errors); done.reject(daemonUnreachable('its socket: the stream was lost', undefined)); });
  const send = (frame: Uint8Array) => { if (!socket.destroyed && !socket.writableEnded) socket.write(frame); };
  send(encodeStreamFrame(streamFrameTypes.start, JSON.stringify(start)));
  if (head.length > 0) receive(head);
  return {
    input: inputWriter(socket), output, errors, done: done.promise,
    resize: (size) => send(encodeStreamFrame(streamFrameTypes.resize, JSON.stringify(size))),
    signal: (name) => send(encodeStreamFrame(streamFrameTypes.signal, name)),
    close: () => socket.destroy(),
  };
}

function settleOnce(readable: Readable): void {
  if (!readable.readableEnded && !readable.destroyed) readable.push(null);
}

/** Keystrokes and pipes into frames, waiting for the socket. */
function inputWriter(socket: Duplex): Writable {
  const write = (frame: Uint8Array, done: () => void) => {
    if (socket.destroyed || socket.writableEnded || socket.write(frame)) { done(); return; }
    const go = () => { socket.off('drain', go); socket.off('close', go); done(); };
    socket.on('drain', go);
    socket.on('close', go);
  };
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      let at = 0;
      // All but the last piece without waiting: a chunk is as large as its writer made it, and it waits for the last.
      for (; at + largestData < chunk.length && !socket.destroyed && !socket.writableEnded; at += largestData) {
        socket.write(encodeStreamFrame(streamFrameTypes.input, chunk.subarray(at, at + largestData)));
      }
      write(encodeStreamFrame(streamFrameTypes.input, chunk.subarray(at)), done);
    },
    final: (done) => write(encodeStreamFrame(streamFrameTypes.endOfInput), done),
  });
}

function readJson(frame: StreamFrame): unknown {
  try { return JSON.parse(Buffer.from(frame.payload).toString('utf8')); } catch (error) { throw strangeAnswer('the daemon sent a broken frame', error); }
}
