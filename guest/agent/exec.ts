/** exec: a program whose stdin, stdout and stderr travel on a stream to the host, with or without a terminal. */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestExec } from '../protocol/messages.ts';
import { onExit } from './children.ts';
import { spawnInside, type Inside } from './enter.ts';
import type { Line } from './line.ts';

interface Running { readonly pid: number; readonly terminal: number }
const running = new Map<number, Running>();

/** Reads one descriptor into the stream, no faster than the host takes it. */
class Outlet {
  #fd: number;
  #paused = false;
  readonly #line: Line;
  readonly #stream: number;
  readonly #errors: boolean;
  readonly #onEnd: () => void;

  constructor(line: Line, stream: number, fd: number, errors: boolean, onEnd: () => void) {
    this.#line = line;
    this.#stream = stream;
    this.#fd = fd;
    this.#errors = errors;
    this.#onEnd = onEnd;
    sys.nonblocking(fd);
    os.setReadHandler(fd, () => this.#read());
  }

  #read(): void {
    const room = Math.min(this.#line.room(this.#stream), 16_384);
    if (room <= 0) {
      os.setReadHandler(this.#fd, null);
      this.#paused = true;
      return;
    }
    const buffer = new ArrayBuffer(room);
    const count = sys.read(this.#fd, buffer);
    if (count > 0) this.#line.sendData(this.#stream, new Uint8Array(buffer, 0, count), this.#errors);
    else if (count === 0) this.close();
  }

  resume(): void {
    if (!this.#paused || this.#fd < 0) return;
    this.#paused = false;
    os.setReadHandler(this.#fd, () => this.#read());
  }

  close(): void {
    if (this.#fd < 0) return;
    os.setReadHandler(this.#fd, null);
    os.close(this.#fd);
    this.#fd = -1;
    this.#onEnd();
  }
}

/** Writes the host's bytes to the program and grants credit as they go. */
class Inlet {
  #fd: number;
  #queue: Uint8Array[] = [];
  #ended = false;
  readonly #granted: (count: number) => void;
  readonly #terminal: boolean;

  constructor(fd: number, terminal: boolean, granted: (count: number) => void) {
    this.#fd = fd;
    this.#terminal = terminal;
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
    if (this.#queue.length === 0) this.#finish();
  }

  #flush(): void {
    while (this.#queue.length > 0) {
      const head = this.#queue[0] as Uint8Array;
      let count: number;
      try { count = sys.write(this.#fd, head.buffer as ArrayBuffer, head.byteOffset, head.length); } catch { return this.close(); } // the program does not read any more
      if (count < 0) {
        os.setWriteHandler(this.#fd, () => { os.setWriteHandler(this.#fd, null); this.#flush(); });
        return;
      }
      this.#granted(count);
      if (count === head.length) this.#queue.shift();
      else this.#queue[0] = head.subarray(count);
    }
    if (this.#ended) this.#finish();
  }

  #finish(): void {
    // A terminal has no end of input but Ctrl-D; closing its master would hang the program up.
    if (!this.#terminal) this.close();
  }

  close(): void {
    for (const bytes of this.#queue) this.#granted(bytes.length);
    this.#queue = [];
    if (this.#fd < 0) return;
    os.setWriteHandler(this.#fd, null);
    if (!this.#terminal) os.close(this.#fd);
    this.#fd = -1;
  }
}

export function startExec(line: Line, request: GuestExec, inside: Inside | undefined, sendExit: (stream: number, code: number) => void): number {
  const ends = request.tty === null ? pipes(request.stdin) : terminal(request.tty);
  let pid: number;
  try {
    pid = spawnInside(inside, { argv: request.argv, env: request.env, cwd: request.cwd, user: request.user, stdio: ends.child, terminal: request.tty !== null });
  } catch (error) {
    for (const fd of new Set([...ends.child, ...ends.ours])) if (fd >= 0) os.close(fd);
    throw error;
  }
  for (const fd of new Set(ends.child)) os.close(fd);
  const [stdin, stdout, stderr] = ends.ours;
  let open = stderr >= 0 ? 2 : 1;
  let exitCode: number | undefined;
  const finish = (): void => {
    if (open > 0 || exitCode === undefined) return;
    inlet.close();
    running.delete(request.stream);
    line.sendEnd(request.stream);
    sendExit(request.stream, exitCode);
    line.removeStream(request.stream);
  };
  const inlet = new Inlet(stdin, request.tty !== null, (count) => line.grant(request.stream, count));
  const outlets = [new Outlet(line, request.stream, stdout, false, () => { open -= 1; finish(); })];
  if (stderr >= 0) outlets.push(new Outlet(line, request.stream, stderr, true, () => { open -= 1; finish(); }));
  line.addStream(request.stream, {
    data: (bytes) => inlet.push(bytes),
    end: () => inlet.end(),
    drain: () => { for (const outlet of outlets) outlet.resume(); },
    // Nobody reads any more: as a closed terminal would, hang the program up.
    gone: () => { sys.kill(-pid, 1); running.delete(request.stream); inlet.close(); for (const outlet of outlets) outlet.close(); },
  });
  running.set(request.stream, { pid, terminal: request.tty === null ? -1 : stdout });
  onExit(pid, (code) => {
    exitCode = code;
    // Children that keep the pipes open must not keep the caller waiting for ever.
    os.setTimeout(() => { for (const outlet of outlets) outlet.close(); }, 500);
    finish();
  });
  return pid;
}

function pipes(withStdin: boolean): { child: [number, number, number]; ours: [number, number, number] } {
  const [outRead, outWrite] = sys.pipe();
  const [errRead, errWrite] = sys.pipe();
  if (!withStdin) return { child: [os.open('/dev/null', os.O_RDONLY), outWrite, errWrite], ours: [-1, outRead, errRead] };
  const [inRead, inWrite] = sys.pipe();
  return { child: [inRead, outWrite, errWrite], ours: [inWrite, outRead, errRead] };
}

function terminal(size: { readonly rows: number; readonly columns: number }): { child: [number, number, number]; ours: [number, number, number] } {
  const [master, slave] = sys.openPty(size.rows, size.columns);
  return { child: [slave, slave, slave], ours: [master, master, -1] };
}

export function resizeExec(stream: number, rows: number, columns: number): void {
  const one = running.get(stream);
  if (one !== undefined && one.terminal >= 0) sys.setWindow(one.terminal, rows, columns);
}

export function signalExec(stream: number, signal: number): void {
  const one = running.get(stream);
  if (one !== undefined) sys.kill(-one.pid, signal);
}
