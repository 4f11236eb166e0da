/**
 * The frame format on the line between host and agent.
 *
 *   offset  size  field
 *   0       4     magic 0x53 0x54 0x52 0xA7 ('STR' + 0xA7)
 *   4       1     type (see frameTypes)
 *   5       3     reserved, 0
 *   8       4     stream id, little endian; 0 for JSON frames
 *   12      4     length of the payload, little endian, at most maxPayload
 *   16      n     payload
 *
 * The daemon may die in the middle of a frame and a new one connect. Each side therefore begins a
 * connection with a `reset` frame of the host, whose payload is a nonce of 32 hex digits. The agent
 * drops whatever it was parsing when it sees the line hang up or the 16 header bytes of a reset, closes streams
 * of the old connection, and answers with a `reset` frame of the same nonce; the host discards all
 * bytes before that answer.
 *
 * Flow control is per stream and direction: a sender may have at most `window` bytes unacknowledged; the
 * receiver grants more by `credit` frames. JSON frames are small and are not counted; a logs or exec
 * stream whose reader is slow stops at its window and disturbs nobody.
 *
 * This file runs in Node and in QuickJS: no imports, Uint8Array only.
 */
export const magic = [0x53, 0x54, 0x52, 0xa7] as const;
export const headerBytes = 16;
/** Large enough for a file of 1 MiB in base64; anything larger is refused and ends the connection. */
export const maxPayload = 2 * 1024 * 1024;
export const streamWindow = 64 * 1024;
/** Data frames carry at most this much, so that JSON frames never wait long behind them. */
export const maxDataBytes = 16 * 1024;

export const frameTypes = {
  reset: 1, // payload: nonce
  json: 2, // payload: UTF-8 JSON (AgentRequest, AgentReply or AgentEvent)
  data: 3, // stream data: host → guest stdin; guest → host stdout or log bytes
  errorData: 4, // guest → host stderr
  endOfData: 5, // no more data in this direction
  credit: 6, // payload: u32 little endian, bytes granted
} as const;
export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

export interface Frame { readonly type: FrameType; readonly stream: number; readonly payload: Uint8Array }

export function encodeFrame(type: FrameType, stream: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerBytes + payload.length);
  bytes.set(magic, 0);
  bytes[4] = type;
  const view = new DataView(bytes.buffer);
  view.setUint32(8, stream, true);
  view.setUint32(12, payload.length, true);
  bytes.set(payload, headerBytes);
  return bytes;
}

/** Thrown by the decoder on bytes that are no frame; the line must be reset. */
export class FrameError extends Error { override readonly name = 'FrameError'; }

/** Splits a byte stream into frames. Memory is bounded by one frame. */
export class FrameDecoder {
  #parts: Uint8Array[] = [];
  #length = 0;

  /** Frames completed by these bytes, in order. @throws FrameError */
  push(chunk: Uint8Array): Frame[] {
    this.#parts.push(chunk);
    this.#length += chunk.length;
    const frames: Frame[] = [];
    for (;;) {
      if (this.#length < headerBytes) return frames;
      const header = this.#peek(headerBytes);
      if (header[0] !== magic[0] || header[1] !== magic[1] || header[2] !== magic[2] || header[3] !== magic[3]) {
        throw new FrameError('bytes on the line are no frame');
      }
      const view = new DataView(header.buffer, header.byteOffset, headerBytes);
      const size = view.getUint32(12, true);
      if (size > maxPayload) throw new FrameError(`a frame of ${size} bytes is larger than ${maxPayload}`);
      if (this.#length < headerBytes + size) return frames;
      const whole = this.#take(headerBytes + size);
      frames.push({ type: whole[4] as FrameType, stream: view.getUint32(8, true), payload: whole.subarray(headerBytes) });
    }
  }

  /** Forgets what was received of an unfinished frame. */
  reset(): void {
    this.#parts = [];
    this.#length = 0;
  }

  #peek(count: number): Uint8Array {
    const first = this.#parts[0] as Uint8Array;
    if (first.length >= count) return first;
    const joined = this.#join();
    this.#parts = [joined];
    return joined;
  }

  #take(count: number): Uint8Array {
    const joined = this.#parts.length === 1 ? (this.#parts[0] as Uint8Array) : this.#join();
    const rest = joined.subarray(count);
    this.#parts = rest.length === 0 ? [] : [rest];
    this.#length = rest.length;
    return joined.slice(0, count);
  }

  #join(): Uint8Array {
    const joined = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) { joined.set(part, at); at += part.length; }
    return joined;
  }
}
