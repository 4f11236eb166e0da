/** exec: a program whose stdin, stdout and stderr travel on a stream to the host, with or without a terminal. */
import * as os from 'os';
import * as sys from 'sys';
import type { GuestExec } from '../protocol/messages.ts';
import type { Spawned } from './children.ts';
import { spawnInside, type Inside } from './enter.ts';
import type { Line } from './line.ts';
import { after } from './loop.ts';
import { Inlet, Outlet } from './pipes.ts';
import { openTerminal } from './terminal.ts';

interface Running { readonly pid: number; readonly terminal: number }
const running = new Map<number, Running>();

/** Children that keep the pipes open after the program's end are listened to for this long after their last word. */
const quietMs = 300;

interface Ends { readonly child: readonly [number, number, number]; readonly stdin: number; readonly stdout: number; readonly stderr: number }

/** The stream must be reserved. @returns the pid. @throws Error '<errno> <what>' where it cannot be started */
export async function startExec(line: Line, request: GuestExec, inside: Inside | undefined, sendExit: (stream: number, code: number) => void): Promise<number> {
  const { stream } = request;
  const ends = request.tty === null ? pipes(request.stdin) : terminal(inside, request.tty);
  const isTerminal = request.tty !== null;
  let exitCode: number | undefined;
  let spawned: Spawned;
  try {
    spawned = spawnInside(inside, { argv: request.argv, env: request.env, cwd: request.cwd, user: request.user, stdio: ends.child, terminal: isTerminal });
    await spawned.runs;
  } catch (error) {
    for (const fd of new Set([...ends.child, ends.stdin, ends.stdout, ends.stderr])) if (fd >= 0) os.close(fd);
    line.removeStream(stream);
    throw error;
  }
  const { pid } = spawned;
  for (const fd of new Set(ends.child)) os.close(fd);
  const inlet = new Inlet(ends.stdin, !isTerminal, (count) => line.grant(stream, count));
  const outlet = (fd: number, errors: boolean): Outlet => new Outlet(fd, { room: () => line.room(stream), send: (bytes) => line.sendData(stream, bytes, errors), ended: () => ended() });
  const outlets = [outlet(ends.stdout, false), ...(ends.stderr >= 0 ? [outlet(ends.stderr, true)] : [])];
  /** A terminal's two ways share one descriptor, which has just been closed. */
  function ended(): void {
    if (isTerminal) {
      inlet.close();
      running.delete(stream);
    }
    finish();
  }
  function finish(): void {
    if (exitCode === undefined || outlets.some((one) => one.open)) return;
    inlet.close();
    running.delete(stream);
    line.sendEnd(stream);
    sendExit(stream, exitCode);
    line.removeStream(stream);
  }
  function settle(): void {
    const left = outlets.filter((one) => one.open);
    if (left.length === 0) return;
    for (const one of left) one.closeIfQuiet();
    after(quietMs, settle);
  }
  const listening = line.addStream(stream, {
    data: (bytes) => inlet.push(bytes),
    end: () => inlet.end(),
    drain: () => { for (const one of outlets) one.resume(); },
    gone: hangUp,
  });
  /** Nobody reads any more: as a closed terminal would, hang the program up. */
  function hangUp(): void {
    if (exitCode === undefined) sys.kill(-pid, 1);
    running.delete(stream);
    inlet.close();
    for (const one of outlets) one.close();
  }
  running.set(stream, { pid, terminal: isTerminal ? ends.stdout : -1 });
  if (!listening) hangUp();
  void spawned.ended.then((code) => {
    exitCode = code;
    finish();
    settle();
  });
  return pid;
}

function pipes(withStdin: boolean): Ends {
  const [stdout, outWrite] = sys.pipe();
  const [stderr, errWrite] = sys.pipe();
  const [inRead, stdin] = withStdin ? sys.pipe() : [os.open('/dev/null', os.O_RDONLY), -1];
  return { child: [inRead, outWrite, errWrite], stdin, stdout, stderr };
}

function terminal(inside: Inside | undefined, size: { readonly rows: number; readonly columns: number }): Ends {
  const { master, slave } = openTerminal(inside === undefined ? '/' : `/proc/${inside.pid}/root`, size);
  return { child: [slave, slave, slave], stdin: master, stdout: master, stderr: -1 };
}

/** Fine for one that has ended. */
export function resizeExec(stream: number, rows: number, columns: number): void {
  const one = running.get(stream);
  if (one !== undefined && one.terminal >= 0) sys.setWindow(one.terminal, rows, columns);
}

export function signalExec(stream: number, signal: number): void {
  const one = running.get(stream);
  if (one !== undefined) sys.kill(-one.pid, signal);
}
