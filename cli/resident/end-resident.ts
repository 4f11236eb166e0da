/** Ends the resident, where there is one; it holds nothing that could be lost. */
import { connect } from 'node:net';
import { endRequest } from './frames.ts';
import { residentSocket } from './places.ts';

const limitMs = 2_000;

/** Resolves when it has let its socket go, or after two seconds; never rejects. */
export function endResident(socketPath: string = residentSocket): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.setTimeout(limitMs, () => { socket.destroy(); });
    socket.once('connect', () => { socket.end(endRequest()); }).on('error', () => { /* none is there */ }).once('close', () => { resolve(); });
    socket.resume();
  });
}
