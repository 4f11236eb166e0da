/**
 * The line to the host: frames over the machine's port, streams with credit, and what happens when the
 * host goes away (it may die in the middle of a frame). Containers never notice any of it.
 */
import { encodeFrame, FrameDecoder, frameTypes, magic, maxDataBytes, streamWindow, type Frame } from '../protocol/frames.ts';
import { complain } from './complain.ts';
import { openPort } from './open-port.ts';
import type { Port } from './port.ts';
import { bytesOf, textOf } from './text.ts';

export interface StreamHandler {
  /** Bytes from the host; the handler grants credit when it has used them. */
  data?(bytes: Uint8Array): void;
  /** The host has no more to send. */
  end?(): void;
  /** The stream may send again. */
  drain?(): void;
  /** The line was reset: nobody listens any more. */
  gone(): void;
}

interface Early { readonly data: Uint8Array[]; ended: boolean }
interface Stream { readonly handler: StreamHandler; readonly early?: Early; room: number }

/** JSON for the host waits here while the line is busy; a host that does not read loses events, never memory of ours. */
const maxQueuedBytes = 8 * 1024 * 1024;

export class Line {
  #port: Port | undefined;
  #decoder = new FrameDecoder();
  #streams = new Map<number, Stream>();
  #queue: Uint8Array[] = [];
  #queued = 0;
  #connected = false;
  readonly #onMessage: (value: unknown) => void;

  constructor(onMessage: (value: unknown) => void) {
    this.#onMessage = onMessage;
  }

  /** Opens the port; throws where the machine has none. */
  open(): void {
    this.#port = openPort({ bytes: (bytes) => this.#receive(bytes), gone: () => this.#hungUp() });
  }

  /** The kernel says that something has changed. */
  lookAgain(): void {
    this.#port?.lookAgain();
  }

  get connected(): boolean { return this.#connected; }

  send(value: unknown): void {
    if (this.#connected) this.#put(encodeFrame(frameTypes.json, 0, bytesOf(JSON.stringify(value))));
  }

  /** Keeps what comes for a stream whose call is still being prepared. @throws Error where the id is in use */
  reserveStream(id: number): void {
    if (this.#streams.has(id)) throw new Error(`stream ${id} is in use`);
    const early: Early = { data: [], ended: false };
    this.#streams.set(id, { room: streamWindow, early, handler: { data: (bytes) => { early.data.push(bytes); }, end: () => { early.ended = true; }, gone: () => undefined } });
  }

  /** The stream's handler; it is given what came since `reserveStream`. Nothing happens where the line was reset since. */
  addStream(id: number, handler: StreamHandler): boolean {
    const stream = this.#streams.get(id);
    if (stream === undefined) return false;
    this.#streams.set(id, { handler, room: stream.room });
    for (const bytes of stream.early?.data ?? []) handler.data?.(bytes);
    if (stream.early?.ended === true) handler.end?.();
    return true;
  }

  removeStream(id: number): void {
    this.#streams.delete(id);
  }

  /** Bytes the host will still take on this stream; 0 for one it does not know. */
  room(id: number): number {
    return this.#streams.get(id)?.room ?? 0;
  }

  /** Sends at most `room` bytes; the caller checked. */
  sendData(id: number, bytes: Uint8Array, errors = false): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.room -= bytes.length;
    for (let at = 0; at < bytes.length; at += maxDataBytes) {
      this.#put(encodeFrame(errors ? frameTypes.errorData : frameTypes.data, id, bytes.subarray(at, at + maxDataBytes)));
    }
  }

  sendEnd(id: number): void {
    if (this.#streams.has(id)) this.#put(encodeFrame(frameTypes.endOfData, id, new Uint8Array(0)));
  }

  grant(id: number, count: number): void {
    if (!this.#streams.has(id)) return;
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, count, true);
    this.#put(encodeFrame(frameTypes.credit, id, payload));
  }

  #receive(bytes: Uint8Array): void {
    let frames: Frame[];
    try {
      frames = this.#decoder.push(bytes);
    } catch (error) {
      // Leftovers of a host that died: a new one begins with a reset, which stands somewhere in what came.
      complain(`line: ${(error as Error).message}`);
      frames = this.#resynchronise(bytes);
    }
    for (const frame of frames) this.#take(frame);
  }

  /**
   * What came since the last frame is dropped up to the next reset. A reset cut in two by the end of what was read is
   * kept for the next read. A garbage prefix that looks like a frame's header is met by the host's time limit and a new try.
   */
  #resynchronise(bytes: Uint8Array): Frame[] {
    this.#decoder.reset();
    for (let at = 0; at < bytes.length; at += 1) {
      if (!mayBeReset(bytes, at)) continue;
      try { return this.#decoder.push(bytes.slice(at)); } catch { this.#decoder.reset(); }
    }
    return [];
  }

  #hungUp(): void {
    this.#dropAll();
    this.#connected = false;
  }

  #dropAll(): void {
    this.#decoder.reset();
    this.#queue = [];
    this.#queued = 0;
    this.#port?.whenWritable(null);
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.handler.gone();
  }

  #take(frame: Frame): void {
    if (frame.type === frameTypes.reset) {
      this.#dropAll();
      this.#connected = true;
      this.#put(encodeFrame(frameTypes.reset, 0, frame.payload));
      return;
    }
    if (frame.type === frameTypes.json) return this.#message(frame.payload);
    const stream = this.#streams.get(frame.stream);
    if (stream === undefined) return;
    if (frame.type === frameTypes.data) stream.handler.data?.(frame.payload);
    else if (frame.type === frameTypes.endOfData) stream.handler.end?.();
    else if (frame.type === frameTypes.credit && frame.payload.length === 4) {
      stream.room += new DataView(frame.payload.buffer, frame.payload.byteOffset, 4).getUint32(0, true);
      stream.handler.drain?.();
    }
  }

  #message(payload: Uint8Array): void {
    let value: unknown;
    try { value = JSON.parse(textOf(payload)); } catch (error) { return complain(`line: ${(error as Error).message}`); }
    this.#onMessage(value);
  }

  #put(bytes: Uint8Array): void {
    if (this.#queued > maxQueuedBytes) return complain('line: the host does not read; a message is dropped');
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    if (this.#queue.length === 1) this.#flush();
  }

  #flush(): void {
    while (this.#queue.length > 0) {
      const head = this.#queue[0] as Uint8Array;
      const count = this.#port?.write(head) ?? -1;
      if (count < 0) return this.#port?.whenWritable(() => this.#flush());
      this.#queued -= count;
      if (count === head.length) this.#queue.shift();
      else this.#queue[0] = head.subarray(count);
    }
  }
}

/** Whether the bytes from there on begin as a reset frame does, as far as they go. */
function mayBeReset(bytes: Uint8Array, at: number): boolean {
  return magic.every((byte, offset) => at + offset >= bytes.length || bytes[at + offset] === byte) && (at + 4 >= bytes.length || bytes[at + 4] === frameTypes.reset);
}
