/**
 * What a container prints, in two bounded files that take turns. The pipe is always read, so a container
 * never blocks on a log that nobody reads; lines survive the container until it is removed.
 *
 * A line in the file: `<milliseconds> <1 or 2> <text>`; streams to the host are JSON lines {t, s, l}.
 */
import * as os from 'os';
import * as sys from 'sys';
import { exists, makeFolder, openFile, readBytes, removeTree } from './files.ts';
import type { Line } from './line.ts';
import { bytesOf, textOf } from './text.ts';

const maxLineBytes = 16 * 1024;

export interface LogLine { readonly t: number; readonly s: number; readonly l: string }
type Follower = (line: LogLine) => void;

export class ContainerLog {
  readonly #folder: string;
  readonly #halfBytes: number;
  #size = 0;
  #followers = new Set<Follower>();
  #partial = new Map<number, Uint8Array>();

  constructor(id: string, logBytes: number) {
    this.#folder = `/scratch/logs/${id}`;
    this.#halfBytes = Math.max(64 * 1024, Math.floor(logBytes / 2));
    makeFolder(this.#folder, 0o700);
    const [stat] = os.stat(this.#current);
    this.#size = stat?.size ?? 0;
  }

  get #current(): string { return `${this.#folder}/new`; }
  get #older(): string { return `${this.#folder}/old`; }

  /** Bytes as they came from the container's stdout (1) or stderr (2). */
  write(stream: number, bytes: Uint8Array): void {
    const before = this.#partial.get(stream);
    const all = before === undefined ? bytes : joined(before, bytes);
    let start = 0;
    const lines: LogLine[] = [];
    for (let at = all.indexOf(10); at >= 0; at = all.indexOf(10, start)) {
      lines.push(this.#line(stream, all.subarray(start, at)));
      start = at + 1;
    }
    let rest = all.slice(start);
    while (rest.length > maxLineBytes) {
      lines.push(this.#line(stream, rest.subarray(0, maxLineBytes)));
      rest = rest.slice(maxLineBytes);
    }
    if (rest.length === 0) this.#partial.delete(stream);
    else this.#partial.set(stream, rest);
    this.#append(lines);
  }

  /** The container has ended: what has no newline yet is a line too. */
  finish(): void {
    const lines = [...this.#partial].map(([stream, bytes]) => this.#line(stream, bytes));
    this.#partial.clear();
    this.#append(lines);
  }

  #line(stream: number, bytes: Uint8Array): LogLine {
    const end = bytes.length > 0 && bytes[bytes.length - 1] === 13 ? bytes.length - 1 : bytes.length;
    return { t: Date.now(), s: stream, l: textOf(bytes.slice(0, Math.min(end, maxLineBytes))) };
  }

  #append(lines: readonly LogLine[]): void {
    if (lines.length === 0) return;
    const bytes = bytesOf(lines.map((line) => `${line.t} ${line.s} ${line.l}\n`).join(''));
    if (this.#size + bytes.length > this.#halfBytes && this.#size > 0) {
      os.rename(this.#current, this.#older);
      this.#size = 0;
    }
    const fd = openFile(this.#current, os.O_WRONLY | os.O_CREAT | os.O_APPEND);
    try { sys.write(fd, bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length); } finally { os.close(fd); }
    this.#size += bytes.length;
    for (const follower of [...this.#followers]) for (const line of lines) follower(line);
  }

  /** Kept lines, oldest first. */
  kept(tail: number | undefined, sinceMs: number | undefined): LogLine[] {
    const text = [this.#older, this.#current].filter(exists).map((path) => textOf(readBytes(path, 0, this.#halfBytes + maxLineBytes * 2))).join('');
    const lines = text.split('\n').filter((line) => line !== '').map((line) => {
      const first = line.indexOf(' ');
      return { t: Number(line.slice(0, first)), s: Number(line.slice(first + 1, first + 2)), l: line.slice(first + 3) };
    });
    const recent = sinceMs === undefined ? lines : lines.filter((line) => line.t >= sinceMs);
    return tail === undefined ? recent : tail === 0 ? [] : recent.slice(-tail);
  }

  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => { this.#followers.delete(follower); };
  }

  remove(): void {
    this.#followers.clear();
    removeTree(this.#folder);
  }
}

/** At most this much waits for a slow reader; older lines of a follower are dropped, the files keep them. */
const maxWaitingBytes = 1024 * 1024;

/** Streams kept and, with follow, coming lines, as fast as the host takes them. `onEnd` when all is sent. */
export function streamLog(line: Line, stream: number, log: ContainerLog, options: { readonly follow: boolean; readonly tail?: number; readonly sinceMs?: number }, onEnd: () => void): void {
  let waiting: Uint8Array[] = log.kept(options.tail, options.sinceMs).map(encode);
  let waitingBytes = 0;
  const pump = (): void => {
    while (waiting.length > 0 && line.room(stream) > 0) {
      const head = waiting[0] as Uint8Array;
      const part = head.subarray(0, line.room(stream));
      line.sendData(stream, part);
      if (part.length === head.length) waiting.shift();
      else waiting[0] = head.subarray(part.length);
    }
    waitingBytes = waiting.reduce((sum, one) => sum + one.length, 0);
    if (waiting.length === 0 && !options.follow) {
      line.sendEnd(stream);
      line.removeStream(stream);
      onEnd();
    }
  };
  const stop = options.follow ? log.follow((one) => {
    const bytes = encode(one);
    if (waitingBytes + bytes.length > maxWaitingBytes) return;
    waiting.push(bytes);
    pump();
  }) : () => undefined;
  line.addStream(stream, { drain: pump, end: () => { stop(); waiting = []; line.removeStream(stream); }, gone: () => { stop(); waiting = []; } });
  pump();
}

function encode(line: LogLine): Uint8Array {
  return bytesOf(`${JSON.stringify(line)}\n`);
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a, 0);
  both.set(b, a.length);
  return both;
}
