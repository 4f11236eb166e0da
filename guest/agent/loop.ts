/**
 * The agent's event loop: descriptors and timers. QuickJS' own serves the first ready descriptor only and then
 * begins anew, so a container that prints without end would silence all that were opened after it; here every
 * ready descriptor has its turn. What a handler throws ends nothing.
 */
import * as sys from 'sys';
import { complain } from './complain.ts';

type Work = () => void;
export interface Timer { readonly atMs: number; readonly work: Work }

const POLLIN = 1;
const POLLOUT = 4;
const POLLANY = 0xffff & ~POLLOUT; // an error or a hang-up is for the reader to find out

const readers = new Map<number, Work>();
const writers = new Map<number, Work>();
const timers: Timer[] = []; // the next one last
/** struct pollfd of every descriptor: fd, then events in the low and revents in the high half. */
let polled = new Int32Array(0);
let changed = true;

/** Calls `work` whenever there is something to read (or the end); null ends it. */
export function onReadable(fd: number, work: Work | null): void {
  set(readers, fd, work);
}

/** Calls `work` whenever there is room to write; null ends it. */
export function onWritable(fd: number, work: Work | null): void {
  set(writers, fd, work);
}

function set(handlers: Map<number, Work>, fd: number, work: Work | null): void {
  if (handlers.has(fd) !== (work !== null)) changed = true;
  if (work === null) handlers.delete(fd);
  else handlers.set(fd, work);
}

export function after(milliseconds: number, work: Work): Timer {
  const timer = { atMs: sys.monotonic() + milliseconds, work };
  let at = timers.length;
  while (at > 0 && (timers[at - 1] as Timer).atMs <= timer.atMs) at -= 1;
  timers.splice(at, 0, timer);
  return timer;
}

export function cancel(timer: Timer | undefined): void {
  const at = timer === undefined ? -1 : timers.indexOf(timer);
  if (at >= 0) timers.splice(at, 1);
}

export const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => { after(milliseconds, resolve); });

function listPolled(): void {
  const fds = new Set([...readers.keys(), ...writers.keys()]);
  polled = new Int32Array(fds.size * 2);
  let at = 0;
  for (const fd of fds) {
    polled[at] = fd;
    polled[at + 1] = (readers.has(fd) ? POLLIN : 0) | (writers.has(fd) ? POLLOUT : 0);
    at += 2;
  }
  changed = false;
}

function attempt(work: Work): void {
  try { work(); } catch (error) { complain(`${(error as Error).message} ${(error as Error).stack ?? ''}`); }
}

/** Waits for what comes next and does it; pending promises run between turns. */
function turn(): void {
  if (changed) listPolled();
  const next = timers[timers.length - 1];
  const left = next === undefined ? -1 : Math.max(0, Math.ceil(next.atMs - sys.monotonic()));
  sys.pollAll(polled.buffer as ArrayBuffer, left);
  const now = sys.monotonic();
  const seen = polled; // handlers may change the list
  for (let at = 0; at < seen.length; at += 2) {
    const events = (seen[at + 1] as number) >>> 16;
    if (events === 0) continue;
    const fd = seen[at] as number;
    const reader = events & POLLANY ? readers.get(fd) : undefined;
    if (reader !== undefined) attempt(reader);
    const writer = events & ~POLLIN ? writers.get(fd) : undefined;
    if (writer !== undefined) attempt(writer);
  }
  for (let timer = timers[timers.length - 1]; timer !== undefined && timer.atMs <= now; timer = timers[timers.length - 1]) {
    timers.pop();
    attempt(timer.work);
  }
}

sys.setTurn(turn);
