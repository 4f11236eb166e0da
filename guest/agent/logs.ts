/**
 * What a container prints, as JSON lines {t: milliseconds, s: 1 or 2, l: text} in two bounded files that take turns.
 * The pipe is always read, so a container never blocks on a log that nobody reads; the lines survive the container
 * until it is removed. Readers read the files themselves, at the host's pace, and hold no lines in memory.
 */
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';
import { complain } from './complain.ts';
import { exists, listFolder, makeFolder, openFile, readBytes, readFrom, removeTree, writeAll } from './files.ts';
import { LineCutter } from './line-cutter.ts';
import type { Line } from './line.ts';
import { bytesOf, textOf } from './text.ts';

const smallestFile = 64 * 1024;
const piece = 16 * 1024;

export class ContainerLog {
  readonly #folder: string;
  readonly #fileBytes: number;
  readonly #cutters = new Map<number, LineCutter>();
  #number: number;
  #fd = -1;
  #size = 0;
  #readers = new Set<() => void>();
  #complained = false;

  constructor(id: string, logBytes: number) {
    this.#folder = `/scratch/logs/${id}`;
    this.#fileBytes = Math.max(smallestFile, Math.floor(logBytes / 2));
    makeFolder(this.#folder, 0o700);
    this.#number = Math.max(1, ...listFolder(this.#folder).map(Number).filter(Number.isInteger));
    this.#size = sys.lstat(this.pathOf(this.#number))?.[3] ?? 0;
  }

  /** Number of the file being written; the one before it may still be there. */
  get newest(): number { return this.#number; }
  get oldest(): number { return exists(this.pathOf(this.#number - 1)) ? this.#number - 1 : this.#number; }
  pathOf(number: number): string { return `${this.#folder}/${number}`; }

  /** Bytes as they came from the container's stdout (1) or stderr (2). */
  write(stream: number, bytes: Uint8Array): void {
    let cutter = this.#cutters.get(stream);
    if (cutter === undefined) this.#cutters.set(stream, cutter = new LineCutter());
    this.#append(stream, cutter.push(bytes));
  }

  /** The container has ended: what has no newline yet is a line too. */
  finish(): void {
    for (const [stream, cutter] of this.#cutters) this.#append(stream, cutter.end());
    this.#cutters.clear();
  }

  #append(stream: number, lines: readonly Uint8Array[]): void {
    if (lines.length === 0) return;
    const t = Date.now();
    const bytes = bytesOf(lines.map((line) => `{"t":${t},"s":${stream},"l":${JSON.stringify(textOf(line))}}\n`).join(''));
    try {
      if (this.#size > 0 && this.#size + bytes.length > this.#fileBytes) this.#turnOver();
      if (this.#fd < 0) this.#fd = openFile(this.pathOf(this.#number), os.O_WRONLY | os.O_CREAT | os.O_APPEND);
      writeAll(this.#fd, bytes);
      this.#size += bytes.length;
    } catch (error) {
      if (!this.#complained) complain(`log: ${(error as Error).message}`);
      this.#complained = true;
    }
    for (const tell of [...this.#readers]) tell();
  }

  #turnOver(): void {
    if (this.#fd >= 0) os.close(this.#fd);
    this.#fd = -1;
    os.remove(this.pathOf(this.#number - 1));
    this.#number += 1;
    this.#size = 0;
  }

  /** `tell` after each addition. @returns how to stop it */
  follow(tell: () => void): () => void {
    this.#readers.add(tell);
    return () => { this.#readers.delete(tell); };
  }

  /** Without what was written until now; its readers go on with what comes. */
  restart(): void {
    this.#cutters.clear();
    this.#turnOver();
    os.remove(this.pathOf(this.#number - 1));
  }

  remove(): void {
    if (this.#fd >= 0) os.close(this.#fd);
    this.#fd = -1;
    this.#readers.clear();
    removeTree(this.#folder);
  }
}

export interface LogWish { readonly follow: boolean; readonly tail?: number; readonly sinceMs?: number }

/** Where to begin: file and offset of the first line wished. */
function startOf(log: ContainerLog, wish: LogWish): { number: number; offset: number } {
  if (wish.tail === undefined && wish.sinceMs === undefined) return { number: log.oldest, offset: 0 };
  let left = wish.tail ?? Number.POSITIVE_INFINITY;
  const place = { number: log.newest, offset: sys.lstat(log.pathOf(log.newest))?.[3] ?? 0 };
  for (let number = log.newest; number >= log.oldest && left > 0; number -= 1) {
    const size = sys.lstat(log.pathOf(number))?.[3] ?? 0;
    if (size === 0) continue;
    const bytes = readBytes(log.pathOf(number), 0, size);
    for (let end = bytes.length - 1; end >= 0 && left > 0; left -= 1) {
      const start = bytes.lastIndexOf(10, end - 1) + 1;
      if (wish.sinceMs !== undefined && timeOf(bytes, start) < wish.sinceMs) return place;
      Object.assign(place, { number, offset: start });
      end = start - 1;
    }
  }
  return place;
}

/** The digits behind `{"t":`. */
function timeOf(bytes: Uint8Array, start: number): number {
  let time = 0;
  for (let at = start + 5; at < bytes.length && (bytes[at] as number) >= 48 && (bytes[at] as number) <= 57; at += 1) time = time * 10 + (bytes[at] as number) - 48;
  return time;
}

/** Streams kept and, with follow, coming lines, as fast as the host takes them. The stream must be reserved. `onEnd` when all is sent. */
export function streamLog(line: Line, stream: number, log: ContainerLog, wish: LogWish, onEnd: () => void): void {
  const place = startOf(log, wish);
  let fd = -1;
  const open = (): boolean => {
    if (fd < 0) fd = os.open(log.pathOf(place.number), os.O_RDONLY);
    if (fd >= 0 && place.offset > 0) os.seek(fd, place.offset, std.SEEK_SET);
    return fd >= 0;
  };
  const leave = (): void => {
    stop();
    if (fd >= 0) os.close(fd);
    fd = -1;
  };
  /** False where nothing more can be had now. */
  const sendSome = (): boolean => {
    const bytes = fd >= 0 || open() ? readFrom(fd, 0, Math.min(line.room(stream), piece)) : new Uint8Array(0);
    if (bytes.length > 0) {
      line.sendData(stream, bytes);
      return true;
    }
    if (place.number >= log.newest) return false;
    if (fd >= 0) os.close(fd);
    fd = -1;
    Object.assign(place, { number: Math.max(place.number + 1, log.oldest), offset: 0 });
    return true;
  };
  const pump = (): void => {
    while (line.room(stream) > 0) {
      if (sendSome()) continue;
      if (wish.follow) return;
      leave();
      line.sendEnd(stream);
      line.removeStream(stream);
      return onEnd();
    }
  };
  const stop = wish.follow ? log.follow(pump) : () => undefined;
  if (line.addStream(stream, { drain: pump, end: () => { leave(); line.removeStream(stream); }, gone: leave })) pump();
  else leave();
}
