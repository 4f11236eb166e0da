/**
 * The line to the host: frames over the virtio-serial port, streams with credit, and what happens when the
 * host goes away (it may die in the middle of a frame). Containers never notice any of it.
 */
import * as os from 'os';
import * as sys from 'sys';
import { encodeFrame, FrameDecoder, frameTypes, headerBytes, magic, maxDataBytes, streamWindow, type Frame } from '../protocol/frames.ts';
import { complain } from './boot.ts';
import { listFolder, openFile, readText } from './files.ts';
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

interface Stream { readonly handler: StreamHandler; room: number }

const POLLHUP = 16;
const lookAgainMs = 100;
/** JSON for the host waits here while the line is busy; a host that does not read loses events, never memory of ours. */
const maxQueuedBytes = 8 * 1024 * 1024;

export class Line {
  #fd = -1;
  #path = '';
  #decoder = new FrameDecoder();
  #streams = new Map<number, Stream>();
  #queue: Uint8Array[] = [];
  #queued = 0;
  #connected = false;
  #buffer = new ArrayBuffer(65_536);
  readonly #onMessage: (value: unknown) => void;

  constructor(onMessage: (value: unknown) => void) {
    this.#onMessage = onMessage;
  }

  /** Opens the port; throws where the machine has none. */
  open(): void {
    this.#path = agentPort();
    this.#fd = openFile(this.#path, os.O_RDWR);
    sys.nonblocking(this.#fd);
    this.#listen();
  }

  get connected(): boolean { return this.#connected; }

  send(value: unknown): void {
    if (this.#connected) this.#put(encodeFrame(frameTypes.json, 0, bytesOf(JSON.stringify(value))));
  }

  addStream(id: number, handler: StreamHandler): void {
    this.#streams.set(id, { handler, room: streamWindow });
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

  #listen(): void {
    os.setReadHandler(this.#fd, () => this.#readable());
  }

  #readable(): void {
    const count = sys.read(this.#fd, this.#buffer);
    if (count < 0) return;
    if (count === 0) return this.#hungUp();
    const bytes = new Uint8Array(this.#buffer.slice(0, count));
    let frames: Frame[];
    try {
      frames = this.#decoder.push(bytes);
    } catch (error) {
      // Leftovers of a host that died: a new one begins with a reset, which stands at the end of what came.
      frames = this.#resynchronise(bytes);
      if (frames.length === 0) complain(`line: ${(error as Error).message}`);
    }
    for (const frame of frames) this.#take(frame);
  }

  #resynchronise(bytes: Uint8Array): Frame[] {
    this.#decoder.reset();
    for (let at = 0; at + headerBytes <= bytes.length; at += 1) {
      const isReset = magic.every((byte, offset) => bytes[at + offset] === byte) && bytes[at + 4] === frameTypes.reset;
      if (!isReset) continue;
      try { return this.#decoder.push(bytes.slice(at)); } catch { this.#decoder.reset(); }
    }
    return [];
  }

  #hungUp(): void {
    os.setReadHandler(this.#fd, null);
    this.#dropAll();
    this.#connected = false;
    this.#waitForHost();
  }

  /** The port tells of a host that is away by POLLHUP only, and of its return by nothing. */
  #waitForHost(): void {
    os.setTimeout(() => {
      if ((sys.poll(this.#fd) & POLLHUP) === 0) this.#listen();
      else this.#waitForHost();
    }, lookAgainMs);
  }

  #dropAll(): void {
    this.#decoder.reset();
    this.#queue = [];
    this.#queued = 0;
    os.setWriteHandler(this.#fd, null);
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
      const count = sys.write(this.#fd, head.buffer as ArrayBuffer, head.byteOffset, head.length);
      if (count < 0) {
        os.setWriteHandler(this.#fd, () => { os.setWriteHandler(this.#fd, null); this.#flush(); });
        return;
      }
      this.#queued -= count;
      if (count === head.length) this.#queue.shift();
      else this.#queue[0] = head.subarray(count);
    }
  }
}

function agentPort(): string {
  for (const name of listFolder('/sys/class/virtio-ports')) {
    if (readText(`/sys/class/virtio-ports/${name}/name`)?.trim() === 'strata.agent') return `/dev/${name}`;
  }
  throw new Error('the machine has no port strata.agent');
}
