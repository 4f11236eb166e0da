/** Children: the agent is pid 1, so every orphan ends here; those somebody waits for are told. */
import * as os from 'os';
import * as sys from 'sys';
import { after, cancel, onReadable } from './loop.ts';
import { textOf } from './text.ts';

const awaited = new Map<number, (code: number) => void>();

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

export interface Spawned {
  readonly pid: number;
  /** @throws Error '<errno> <what>' where the program cannot be started */
  readonly runs: Promise<void>;
  /** Its exit code, 128 + n for signal n. */
  readonly ended: Promise<number>;
}

/** Starts a program. */
export function spawn(options: sys.SpawnOptions): Spawned {
  const [pid, fd] = sys.spawn(options);
  const ended = awaitExit(pid);
  const runs = untilRuns(fd, pid).then((trouble) => { if (trouble !== '') throw new Error(trouble); });
  return { pid, runs, ended };
}

/** The exit code of a child that was just started: reaping happens between turns of the loop, so nothing is missed. */
export function awaitExit(pid: number): Promise<number> {
  return new Promise((resolve) => { awaited.set(pid, resolve); });
}

const startLimitMs = 60_000;

/** '' once the program runs, or was ended since it did not get that far in time; else '<errno> <what>'. The descriptor ends with the exec. */
export function untilRuns(fd: number, pid: number): Promise<string> {
  sys.nonblocking(fd);
  return new Promise((resolve) => {
    const buffer = new ArrayBuffer(512);
    let said = '';
    const timer = after(startLimitMs, () => killGroup(pid));
    onReadable(fd, () => {
      let count: number;
      while ((count = sys.read(fd, buffer)) > 0) said += textOf(new Uint8Array(buffer, 0, count));
      if (count < 0) return;
      cancel(timer);
      onReadable(fd, null);
      os.close(fd);
      resolve(said);
    });
  });
}

export interface Ended { readonly code: number; readonly output: string; readonly late: boolean }
const keptOutput = 4096;

/** Runs to its end what `start` starts with the given stdio, or to the limit; keeps the end of what it printed. */
export function runToEnd(limitMs: number, start: (stdio: readonly [number, number, number]) => Spawned): Promise<Ended> {
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
    const fail = (error: Error): void => {
      output = error.message;
      finish(126);
    };
    const timer = after(limitMs, () => {
      late = true;
      killGroup(pid);
    });
    let pid = 0;
    try {
      const spawned = start([nothing, writeEnd, writeEnd]);
      pid = spawned.pid;
      onReadable(readEnd, drain);
      spawned.runs.then(() => spawned.ended).then(finish, fail);
    } catch (error) {
      fail(error as Error);
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
