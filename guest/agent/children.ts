/** Reaping: the agent is pid 1, so every orphan ends here; those somebody waits for are told. */
import * as os from 'os';
import * as sys from 'sys';

type OnExit = (code: number) => void;
const awaited = new Map<number, OnExit>();
/** Ended before anybody asked: a child may be faster than the code that learns its pid. */
const early = new Map<number, number>();
const maxEarly = 256;

export function startReaping(): void {
  const signals = sys.childSignals();
  const record = new ArrayBuffer(128); // struct signalfd_siginfo; what it says is what reap() finds out by itself
  os.setReadHandler(signals, () => {
    while (sys.read(signals, record) > 0);
    reap();
  });
}

export function reap(): void {
  for (let child = sys.reap(); child !== null; child = sys.reap()) {
    const [pid, code] = child;
    const onExit = awaited.get(pid);
    awaited.delete(pid);
    if (onExit !== undefined) onExit(code);
    else {
      early.set(pid, code);
      if (early.size > maxEarly) early.delete(early.keys().next().value as number);
    }
  }
}

/** Calls back once with the exit code (128 + n for signal n). */
export function onExit(pid: number, callback: OnExit): void {
  const code = early.get(pid);
  if (code !== undefined) {
    early.delete(pid);
    callback(code);
  } else awaited.set(pid, callback);
}

/** Runs a program to its end and returns code and what it printed (bounded). */
export function runProgram(argv: readonly string[], limitMs: number): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const [readEnd, writeEnd] = sys.pipe();
    const nothing = os.open('/dev/null', os.O_RDWR);
    let pid: number;
    try {
      pid = sys.spawn({ argv, env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'XDG_RUNTIME_DIR=/run'], stdio: [nothing, writeEnd, writeEnd] });
    } catch (error) {
      os.close(readEnd);
      reject(error);
      return;
    } finally {
      os.close(nothing);
      os.close(writeEnd);
    }
    let output = '';
    sys.nonblocking(readEnd);
    const drain = (): void => {
      const buffer = new ArrayBuffer(4096);
      for (let count = sys.read(readEnd, buffer); count > 0; count = sys.read(readEnd, buffer)) output = (output + sys.decode(buffer, 0, count)).slice(-4096);
    };
    const timer = os.setTimeout(() => { sys.kill(pid, 9); }, limitMs);
    onExit(pid, (code) => {
      os.clearTimeout(timer);
      drain();
      os.close(readEnd);
      resolve({ code, output });
    });
  });
}
