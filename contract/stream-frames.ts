/**
 * What travels on an exec or console stream after the HTTP upgrade: frames of a type byte, a length
 * (four bytes, big endian) and a payload.
 *
 * The client first sends `start` (JSON: ExecRequest or ConsoleRequest). Data flows both ways until the server
 * sends its last frame: `exit`, or `problem` (JSON: Problem) where it could not be started or was lost.
 * Back-pressure is the socket's own. No imports: both ends and the tests share exactly this.
 */
export const streamFrameTypes = {
  start: 1, // client → server, JSON
  input: 3, // client → server, bytes for stdin
  output: 4, // server → client, stdout
  errors: 5, // server → client, stderr
  endOfInput: 6, // client → server, empty
  resize: 7, // client → server, JSON {rows, columns}
  signal: 8, // client → server, text 'SIGTERM'
  exit: 9, // server → client, JSON {code}
  problem: 10, // server → client, JSON Problem; last frame
} as const;
export type StreamFrameType = (typeof streamFrameTypes)[keyof typeof streamFrameTypes];

export const streamHeaderBytes = 5;
/** A larger frame ends the connection. */
export const maxStreamPayload = 1024 * 1024;

export interface StreamFrame { readonly type: number; readonly payload: Uint8Array }

export function encodeStreamFrame(type: StreamFrameType, payload: Uint8Array | string = ''): Uint8Array {
  const body = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
  const frame = new Uint8Array(streamHeaderBytes + body.length);
  frame[0] = type;
  new DataView(frame.buffer).setUint32(1, body.length);
  frame.set(body, streamHeaderBytes);
  return frame;
}

/** Thrown for a frame larger than maxStreamPayload. */
export class StreamFrameError extends Error { override readonly name = 'StreamFrameError'; }

/** Splits bytes into frames; keeps at most one unfinished frame. */
export class StreamFrameDecoder {
  #parts: Uint8Array[] = [];
  #length = 0;

  /** Frames completed by these bytes, in order. @throws StreamFrameError */
  push(chunk: Uint8Array): StreamFrame[] {
    this.#parts.push(chunk);
    this.#length += chunk.length;
    const frames: StreamFrame[] = [];
    for (;;) {
      const size = this.#nextSize();
      if (size === undefined || this.#length < streamHeaderBytes + size) return frames;
      const whole = this.#join();
      frames.push({ type: whole[0] as number, payload: whole.slice(streamHeaderBytes, streamHeaderBytes + size) });
      const rest = whole.subarray(streamHeaderBytes + size);
      this.#parts = rest.length === 0 ? [] : [rest];
      this.#length = rest.length;
    }
  }

  /** Payload length of the frame at the front, once its header is here. */
  #nextSize(): number | undefined {
    if (this.#length < streamHeaderBytes) return undefined;
    const first = this.#parts[0] as Uint8Array;
    const head = first.length >= streamHeaderBytes ? first : this.#join();
    const size = new DataView(head.buffer, head.byteOffset, streamHeaderBytes).getUint32(1);
    if (size > maxStreamPayload) throw new StreamFrameError(`a frame of ${size} bytes is larger than ${maxStreamPayload}`);
    return size;
  }

  #join(): Uint8Array {
    if (this.#parts.length === 1) return this.#parts[0] as Uint8Array;
    const joined = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) { joined.set(part, at); at += part.length; }
    this.#parts = [joined];
    return joined;
  }
}
