/** The ends of a program's pipes or terminal, joined to a stream of the line with its flow control. */
import * as os from 'os';
import * as sys from 'sys';
import { onReadable, onWritable } from './loop.ts';

const readBytes = 16_384;

export interface Sink { room(): number; send(bytes: Uint8Array): void; ended(): void }

/** Reads a descriptor into the stream, no faster than the host takes it. */
export class Outlet {
  #fd: number;
  #paused = false;
  #readSinceLooked = true;
  readonly #sink: Sink;

  constructor(fd: number, sink: Sink) {
    this.#fd = fd;
    this.#sink = sink;
    sys.nonblocking(fd);
    onReadable(fd, () => this.#read());
  }

  get open(): boolean { return this.#fd >= 0; }

  #read(): void {
    const room = Math.min(this.#sink.room(), readBytes);
    if (room <= 0) {
      onReadable(this.#fd, null);
      this.#paused = true;
      return;
    }
    const buffer = new ArrayBuffer(room);
    const count = sys.read(this.#fd, buffer);
    this.#readSinceLooked = true;
    if (count > 0) this.#sink.send(new Uint8Array(buffer, 0, count));
    else if (count === 0) this.close();
  }

  resume(): void {
    if (!this.#paused || this.#fd < 0) return;
    this.#paused = false;
    onReadable(this.#fd, () => this.#read());
  }

  /** Closes where nothing was read since the last call and nothing waits for a slow host. */
  closeIfQuiet(): void {
    if (!this.#paused && !this.#readSinceLooked) this.close();
    this.#readSinceLooked = false;
  }

  close(): void {
    if (this.#fd < 0) return;
    onReadable(this.#fd, null);
    os.close(this.#fd);
    this.#fd = -1;
    this.#sink.ended();
  }
}

/** Writes the host's bytes to a descriptor and grants credit as they go. */
export class Inlet {
  #fd: number;
  #queue: Uint8Array[] = [];
  #ended = false;
  readonly #own: boolean;
  readonly #granted: (count: number) => void;

  /** @param own whether the descriptor is ours to close (a terminal's is shared with its outlet; its end is Ctrl-D) */
  constructor(fd: number, own: boolean, granted: (count: number) => void) {
    this.#fd = fd;
    this.#own = own;
    this.#granted = granted;
    if (fd >= 0) sys.nonblocking(fd);
  }

  push(bytes: Uint8Array): void {
    if (this.#fd < 0) return this.#granted(bytes.length);
    this.#queue.push(bytes);
    if (this.#queue.length === 1) this.#flush();
  }

  end(): void {
    this.#ended = true;
    if (this.#queue.length === 0 && this.#own) this.close();
  }

  #flush(): void {
    while (this.#queue.length > 0) {
      const head = this.#queue[0] as Uint8Array;
      let count: number;
      try { count = sys.write(this.#fd, head.buffer as ArrayBuffer, head.byteOffset, head.length); } catch { return this.close(); } // the program does not read any more
      if (count < 0) {
        onWritable(this.#fd, () => { onWritable(this.#fd, null); this.#flush(); });
        return;
      }
      this.#granted(count);
      if (count === head.length) this.#queue.shift();
      else this.#queue[0] = head.subarray(count);
    }
    if (this.#ended && this.#own) this.close();
  }

  close(): void {
    const left = this.#queue.reduce((sum, bytes) => sum + bytes.length, 0);
    this.#queue = [];
    if (this.#fd < 0) return;
    onWritable(this.#fd, null);
    if (this.#own) os.close(this.#fd);
    this.#fd = -1;
    if (left > 0) this.#granted(left);
  }
}
