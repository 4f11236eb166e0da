/** The sockets of a running machine that its keeper or VMM listens on: the agent's line (one at a time) and the console. */
import { connect, type Socket } from 'node:net';
import { StrataError } from '#base';
import type { VmmPlaces } from './vmm-places.ts';

export interface VmmSockets {
  openAgentLine(): Promise<Socket>;
  /** A line to this machine that is open already serves the next who asks: opening it again costs the guest time. */
  handOn(line: Socket): void;
  openConsole(): Promise<Socket>;
  close(): void;
}

export function vmmSockets(places: VmmPlaces, machineName: string): VmmSockets {
  const sockets = new Set<Socket>();
  let line: Socket | undefined;
  let handedOn: Socket | undefined;
  const keepTrack = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  return {
    handOn: (open) => {
      line = keepTrack(open);
      handedOn = open;
    },
    openAgentLine: async () => {
      const open = handedOn;
      handedOn = undefined;
      if (open !== undefined && !open.destroyed) return open.resume(); // what is read before anybody listens is nobody's
      if (line !== undefined && !line.destroyed) throw new StrataError(`the agent's line of machine ${machineName} is open already`, { code: 'machine.lineBusy', kind: 'conflict' });
      line = keepTrack(await openSocket(places.agent));
      return line;
    },
    openConsole: async () => keepTrack(await openSocket(places.console)),
    close: () => { for (const socket of sockets) socket.destroy(); },
  };
}

function openSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const onError = (cause: Error): void => reject(new StrataError(`the machine's socket ${path} cannot be reached: ${cause.message}`, { code: 'machine.notRunning', kind: 'unavailable', cause }));
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.off('error', onError);
      resolve(socket);
    });
  });
}
