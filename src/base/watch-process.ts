/** Notices the end of a process that need not be our child, without asking again and again: its socket closes. */
import { connect, type Socket } from 'node:net';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

const firstPauseMs = 200;
/** A process that ends each connection at once, as one of an earlier version may, is looked at this often in the end. */
const longestPauseMs = 5000;

/**
 * Calls `onEnd` once when the process has ended; returns what ends the watch. The socket may come and go while it lives.
 *
 * @param greeting what makes the process keep the connection, where it would end one on which nothing is said
 */
export function watchProcess(identity: ProcessIdentity, socketPath: string, onEnd: () => void, greeting?: string): () => void {
  let socket: Socket | undefined;
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  let pauseMs = firstPauseMs;
  const look = () => {
    if (over) return;
    const since = performance.now();
    socket = connect({ path: socketPath });
    socket.unref();
    if (greeting !== undefined) socket.write(greeting);
    socket.on('error', () => undefined);
    socket.on('data', () => undefined);
    socket.on('close', () => {
      pauseMs = performance.now() - since > longestPauseMs ? firstPauseMs : Math.min(pauseMs * 2, longestPauseMs);
      if (!over) void isAlive(identity).then(decide, () => decide(true));
    });
  };
  const decide = (alive: boolean) => {
    if (over) return;
    if (alive) {
      timer = setTimeout(look, pauseMs);
      timer.unref();
      return;
    }
    over = true;
    onEnd();
  };
  look();
  return () => {
    over = true;
    clearTimeout(timer);
    socket?.destroy();
  };
}
