/**
 * The guest's end of a line: the same frames, streams and credit as the real agent (guest/agent/line.ts),
 * over a stream in memory. Written apart from the host's end, so that tests of either test both.
 */
import type { Duplex } from 'node:stream';
import { encodeFrame, FrameDecoder, frameTypes, headerBytes, magic, maxDataBytes, streamWindow, type Frame } from '#guest-protocol';

export interface FakeStreamHandler {
  data?(bytes: Uint8Array): void;
  end?(): void;
  drain?(): void;
  gone(): void;
}

export interface FakeLine {
  send(message: unknown): void;
  addStream(id: number, handler: FakeStreamHandler): void;
  removeStream(id: number): void;
  /** Bytes the host still takes on this stream; 0 for one it does not know. */
  room(id: number): number;
  sendData(id: number, bytes: Uint8Array, errors?: boolean): void;
  sendEnd(id: number): void;
  grant(id: number, count: number): void;
}

/** Serves one connection of the host until it ends. */
export function serveFakeLine(wire: Duplex, onMessage: (message: unknown) => void): FakeLine {
  const decoder = new FrameDecoder();
  const streams = new Map<number, { readonly handler: FakeStreamHandler; room: number }>();
  let connected = false;
  const put = (bytes: Uint8Array) => { if (connected && !wire.destroyed) wire.write(bytes); };
  const empty = new Uint8Array(0);

  function dropAll(): void {
    const gone = [...streams.values()];
    streams.clear();
    for (const one of gone) one.handler.gone();
  }
  function take(frame: Frame): void {
    if (frame.type === frameTypes.reset) {
      dropAll();
      connected = true;
      return put(encodeFrame(frameTypes.reset, 0, frame.payload));
    }
    if (frame.type === frameTypes.json) return onMessage(JSON.parse(new TextDecoder().decode(frame.payload)));
    const stream = streams.get(frame.stream);
    if (frame.type === frameTypes.data) stream?.handler.data?.(frame.payload);
    else if (frame.type === frameTypes.endOfData) stream?.handler.end?.();
    else if (frame.type === frameTypes.credit && stream !== undefined) {
      stream.room += new DataView(frame.payload.buffer, frame.payload.byteOffset, 4).getUint32(0, true);
      stream.handler.drain?.();
    }
  }
  wire.on('error', () => undefined);
  wire.on('close', () => { connected = false; dropAll(); });
  wire.on('data', (chunk: Buffer) => {
    let frames: Frame[];
    try { frames = decoder.push(chunk); } catch { frames = afterReset(decoder, chunk); }
    for (const frame of frames) take(frame);
  });
  return {
    send: (message) => put(encodeFrame(frameTypes.json, 0, new TextEncoder().encode(JSON.stringify(message)))),
    addStream: (id, handler) => { streams.set(id, { handler, room: streamWindow }); },
    removeStream: (id) => { streams.delete(id); },
    room: (id) => streams.get(id)?.room ?? 0,
    sendData(id, bytes, errors = false) {
      const stream = streams.get(id);
      if (stream === undefined) return;
      stream.room -= bytes.length;
      for (let at = 0; at < bytes.length; at += maxDataBytes) put(encodeFrame(errors ? frameTypes.errorData : frameTypes.data, id, bytes.subarray(at, at + maxDataBytes)));
    },
    sendEnd: (id) => { if (streams.has(id)) put(encodeFrame(frameTypes.endOfData, id, empty)); },
    grant(id, count) {
      if (!streams.has(id)) return;
      const payload = new Uint8Array(4);
      new DataView(payload.buffer).setUint32(0, count, true);
      put(encodeFrame(frameTypes.credit, id, payload));
    },
  };
}

/** Leftovers of a host that died: a reset among them begins anew. */
function afterReset(decoder: FrameDecoder, bytes: Uint8Array): Frame[] {
  decoder.reset();
  for (let at = 0; at + headerBytes <= bytes.length; at += 1) {
    if (!magic.every((byte, offset) => bytes[at + offset] === byte) || bytes[at + 4] !== frameTypes.reset) continue;
    try { return decoder.push(bytes.slice(at)); } catch { decoder.reset(); }
  }
  return [];
}
