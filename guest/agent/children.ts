/** Children: the agent is pid 1, so every orphan ends here; those somebody waits for are told. */
import * as os from 'os';
import * as sys from 'sys';
import { after, cancel, onReadable } from './loop.ts';

export type OnExit = (code: number) => void;
const awaited = new Map<number, OnExit>();

const SIGINT = 2;

/**
 * @param onPortChange called when the host came to or left the line's port
 * @param onPowerButton called when the host asks the kernel for Ctrl-Alt-Del, as UML's host does
 */
export function startReaping(onPortChange: () => void, onPowerButton: () => void): void {
  const signals = sys.signals();
  const record = new ArrayBuffer(128); // struct signalfd_siginfo: the signal's number, and what is found out by looking
  const number = new Uint32Array(record, 0, 1);
  onReadable(signals, () => {
    while (sys.read(signals, record) > 0) if (number[0] === SIGINT) onPowerButton();
    reap();
    onPortChange();
  });
}

function reap(): void {
  for (let child = sys.reap(); child !== null; child = sys.reap()) {
    const [pid, code] = child;
    const tell = awaited.get(pid);
    awaited.delete(pid);
    tell?.(code);
  }
}

/** Starts a program; `tell` is called once with its exit code (128 + n for signal n). @returns the pid */
export function spawn(options: sys.SpawnOptions, tell: OnExit): number {
  const pid = sys.spawn(options);
  awaited.set(pid, tell); // reaping happens between turns of the loop, so nothing is missed
  return pid;
}

/** The exit code of a child that was just started. */
export function awaitExit(pid: number): Promise<number> {
  return new Promise((resolve) => { awaited.set(pid, resolve); });
}

export interface Ended { readonly code: number; readonly output: string; readonly late: boolean }
const keptOutput = 4096;

/** Runs to its end what `start` starts with the given stdio, or to the limit; keeps the end of what it printed. */
export function runToEnd(limitMs: number, start: (stdio: readonly [number, number, number], tell: OnExit) => number): Promise<Ended> {
  return new Promise((resolve) => {
    const [readEnd, writeEnd] = sys.pipe();
    const nothing = os.open('/dev/null', os.O_RDONLY);
    sys.nonblocking(readEnd);
    let output = '';
    let late = false;
    const buffer = new ArrayBuffer(4096);
    const drain = (): void => {
      let count: number;
      while ((count = sys.read(readEnd, buffer)) > 0) output = (output + sys.decode(buffer, 0, count)).slice(-keptOutput);
      if (count === 0) onReadable(readEnd, null);
    };
    const finish = (code: number): void => {
      cancel(timer);
      drain();
      onReadable(readEnd, null);
      os.close(readEnd);
      resolve({ code, output, late });
    };
    const timer = after(limitMs, () => {
      late = true;
      killGroup(pid);
    });
    let pid = 0;
    try {
      pid = start([nothing, writeEnd, writeEnd], finish);
      onReadable(readEnd, drain);
    } catch (error) {
      output = (error as Error).message;
      finish(126);
    } finally {
      os.close(nothing);
      os.close(writeEnd);
    }
  });
}

/** Every program we start leads a session, and so a group, of its own. */
export function killGroup(pid: number): void {
  if (pid <= 1) return;
  sys.kill(-pid, 9);
  sys.kill(pid, 9);
}
