/**
 * The host's end of one stream: stdin to the guest, stdout and stderr (or log lines) from it. The guest may
 * send one window beyond what was read here and gets credit only as readers take it, so a slow reader
 * stops its own stream and costs one window of memory. A guest that sends more, or grants more than was
 * sent to it, breaks the protocol.
 */
import { Readable, Writable } from 'node:stream';
import { StrataError } from '#base';
import { maxDataBytes, streamWindow } from '#guest-protocol';
import type { AgentStream } from '../machines.ts';
import { protocolViolation } from './protocol-violation.ts';

/** What a stream needs from its line. */
export interface StreamLine {
  sendData(id: number, bytes: Uint8Array): void;
  sendEnd(id: number): void;
  grant(id: number, bytes: number): void;
  /** False while the line itself is full; `resume` is called when it is not. */
  readonly ready: boolean;
  /** Nobody here wants the stream any more. */
  letGo(id: number): void;
}

export interface HostStream extends AgentStream {
  /** The guest knows the stream: what was written may go. */
  begin(): void;
  /** @throws StrataError `agent.protocol` */
  take(bytes: Uint8Array, errors: boolean): void;
  takeEnd(): void;
  /** @throws StrataError `agent.protocol` */
  takeCredit(bytes: number): void;
  resume(): void;
  /** It is over: with the program's exit code, or with what went wrong. Readers still get what came before. */
  finish(code: number): void;
  fail(error: StrataError): void;
}

/** Credit is granted in pieces of this size, so that a reader of small chunks does not double the traffic. */
const grantBytes = streamWindow / 4;

export function hostStream(id: number, line: StreamLine): HostStream {
  let unacknowledged = 0; // bytes the guest sent and got no credit for
  let used = 0; // of these, taken by readers
  let room = streamWindow;
  let begun = false;
  let over = false;
  let closed = false;
  let waiting: { bytes: Uint8Array; readonly done: () => void } | undefined;
  const { promise: done, resolve, reject } = Promise.withResolvers<number>();
  done.catch(() => undefined); // whoever asks for it hears of it

  const onUsed = (count: number) => {
    used += count;
    if (over || used < grantBytes) return;
    unacknowledged -= used;
    line.grant(id, used);
    used = 0;
  };
  const output = channel(onUsed);
  const errors = channel(onUsed);

  function pump(): void {
    while (waiting !== undefined) {
      if (!over && !closed) {
        if (!begun || room === 0 || !line.ready) return;
        const part = waiting.bytes.subarray(0, Math.min(room, maxDataBytes));
        line.sendData(id, part);
        room -= part.length;
        waiting.bytes = waiting.bytes.subarray(part.length);
        if (waiting.bytes.length > 0) continue;
      }
      const { done: written } = waiting;
      waiting = undefined;
      written();
    }
  }
  const input = new Writable({
    highWaterMark: maxDataBytes,
    write(bytes: Uint8Array, _encoding, written) { waiting = { bytes, done: written }; pump(); },
    final(written) { if (!over && !closed) whenBegun(() => line.sendEnd(id)); written(); },
  });
  input.on('error', () => undefined); // a program that ended while somebody still writes is no error here
  const onBegin: (() => void)[] = [];
  const whenBegun = (act: () => void) => { if (begun) act(); else onBegin.push(act); };

  function end(): void {
    over = true;
    output.end();
    errors.end();
    pump();
  }
  return {
    id, input, output: output.readable, errors: errors.readable, done,
    begin() {
      if (begun || over) return;
      begun = true;
      pump();
      for (const act of onBegin) act();
    },
    take(bytes, toErrors) {
      unacknowledged += bytes.length;
      if (unacknowledged > streamWindow) throw protocolViolation(`more than ${streamWindow} bytes of a stream without credit`);
      if (bytes.length > 0) (toErrors ? errors : output).push(bytes);
    },
    takeEnd() { output.end(); errors.end(); },
    takeCredit(bytes) {
      if (bytes > streamWindow - room) throw protocolViolation('credit for bytes that were never sent');
      room += bytes;
      pump();
    },
    resume: pump,
    finish(code) { if (!over) { end(); resolve(code); } },
    fail(error) { if (!over) { end(); reject(error); } },
    close() {
      if (closed) return;
      closed = true;
      output.discard();
      errors.discard();
      pump();
      if (over) return;
      line.letGo(id);
      reject(new StrataError('the stream was closed', { code: 'agent.closed', kind: 'unavailable' }));
    },
  };
}

interface Channel {
  readonly readable: Readable;
  push(bytes: Uint8Array): void;
  end(): void;
  discard(): void;
}

/** Chunks wait here until the reader asks; `onUsed` hears when they leave. */
function channel(onUsed: (bytes: number) => void): Channel {
  const queue: Uint8Array[] = [];
  let wanted = false;
  let ended = false;
  let told = false;
  let dropping = false;

  function flow(): void {
    for (let head = queue[0]; head !== undefined && (wanted || dropping); head = queue[0]) {
      queue.shift();
      if (!dropping) wanted = readable.push(head);
      onUsed(head.length);
    }
    if (ended && queue.length === 0 && !told) {
      told = true;
      if (!dropping) readable.push(null);
    }
  }
  const readable = new Readable({
    highWaterMark: maxDataBytes,
    read() { wanted = true; flow(); },
    // A reader that leaves early must not stop the program that writes.
    destroy(_error, destroyed) { dropping = true; flow(); destroyed(null); },
  });
  return {
    readable,
    push(bytes) { queue.push(bytes); flow(); },
    end() { ended = true; flow(); },
    discard() { if (!readable.destroyed) readable.destroy(); },
  };
}
