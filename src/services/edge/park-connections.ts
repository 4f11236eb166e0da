/**
 * One parking place: connections that arrive while no replica is ready wait here, and go on to one as soon as one is.
 *
 *     accepted --nothing ready--> held --a replica is ready--> joined --both sides done--> closed
 *                                  |-- time-out: 503 with Retry-After (http) or close (tcp)
 *     over the limit: as at time-out, at once
 *
 * Bytes are handed on as they are; what a held client already sent is kept up to a small limit, so that its going away is seen.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { EdgeState } from './edge-state.ts';

export type ParkingPlace = EdgeState['parking'][number];

export interface ParkingCounters { held: number; forwarded: number; timedOut: number; refused: number; wakes: number }

export interface Parking {
  /** New targets, limits and mode; held connections go on at once where something is ready now. */
  change(place: ParkingPlace): void;
  close(): Promise<void>;
}

interface Held { readonly client: Socket; readonly sent: Buffer[]; sentBytes: number; ended: boolean; timer: NodeJS.Timeout; readonly until: number; release(): void }

const maxSentBytes = 16 * 1024;
const retryMs = 100;

/** Listens on all the addresses. @throws the system's error (EADDRINUSE, EADDRNOTAVAIL) */
export async function parkConnections(first: ParkingPlace, addresses: readonly string[], counters: ParkingCounters): Promise<Parking> {
  let place = first;
  let turn = 0;
  const held = new Set<Held>();
  const open = new Set<Socket>();
  const servers: Server[] = [];

  function arrive(client: Socket): void {
    track(open, client);
    if (held.size >= place.limit) {
      counters.refused += 1;
      sendAway(client, place.mode);
      return;
    }
    if (place.ready.length === 0) counters.wakes += 1;
    const one = hold(client);
    void advance(one);
  }

  function hold(client: Socket): Held {
    const one: Held = { client, sent: [], sentBytes: 0, ended: false, until: performance.now() + place.timeoutMs, timer: setTimeout(() => giveUp(one), place.timeoutMs), release: () => undefined };
    const onData = (chunk: Buffer) => {
      one.sent.push(chunk);
      one.sentBytes += chunk.length;
      if (one.sentBytes >= maxSentBytes) client.pause();
    };
    const onEnd = () => {
      one.ended = true;
      // Nothing asked, nothing to wait for; and a web client that ends before its answer has given up.
      if (one.sentBytes === 0 || place.mode === 'http') client.destroy();
    };
    const onClose = () => one.release();
    client.on('data', onData).on('end', onEnd).on('close', onClose);
    held.add(one);
    counters.held += 1;
    one.release = () => {
      if (!held.delete(one)) return;
      counters.held -= 1;
      clearTimeout(one.timer);
      client.removeListener('data', onData).removeListener('end', onEnd).removeListener('close', onClose);
    };
    return one;
  }

  function giveUp(one: Held): void {
    if (!held.has(one)) return;
    one.release();
    counters.timedOut += 1;
    sendAway(one.client, place.mode);
  }

  /** Tries the ready replicas in turn; while none takes the connection it stays held and tries again. */
  async function advance(one: Held): Promise<void> {
    const targets = place.ready;
    for (let tried = 0; tried < targets.length && held.has(one); tried += 1) {
      const target = targets[turn++ % targets.length] as { readonly address: string; readonly port: number };
      const server = await reach(target, Math.max(1, Math.min(3000, one.until - performance.now())));
      if (server === undefined) continue;
      if (!held.has(one)) { server.destroy(); return; }
      track(open, server);
      one.release();
      counters.forwarded += 1;
      join(one, server);
      return;
    }
    if (targets.length > 0 && held.has(one)) setTimeout(() => void advance(one), retryMs).unref();
  }

  for (const address of addresses) {
    try {
      servers.push(await listen(place.port, address, arrive));
    } catch (error) {
      for (const server of servers) server.close();
      throw error;
    }
  }
  return {
    change(next) {
      const wasReady = place.ready.length > 0;
      place = next;
      // Where something was ready already, held connections are in the middle of their own attempts.
      if (!wasReady && next.ready.length > 0) for (const one of held) void advance(one);
    },
    async close() {
      const closed = servers.map((server) => new Promise<void>((resolve) => { server.close(() => resolve()); }));
      for (const one of [...held]) one.release();
      for (const socket of open) socket.destroy();
      await Promise.all(closed);
    },
  };
}

function track(open: Set<Socket>, socket: Socket): void {
  open.add(socket);
  socket.on('close', () => open.delete(socket));
  socket.on('error', () => socket.destroy());
  socket.setNoDelay(true);
}

function listen(port: number, address: string, arrive: (client: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, arrive);
    server.once('error', reject);
    server.listen({ port, host: address, backlog: 1024 }, () => {
      server.removeListener('error', reject);
      server.on('error', () => { /* of one connection that could not be accepted */ });
      resolve(server);
    });
  });
}

function reach(target: { readonly address: string; readonly port: number }, limitMs: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: target.address, port: target.port, allowHalfOpen: true });
    const timer = setTimeout(() => fail(), limitMs);
    const fail = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(undefined);
    };
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeListener('error', fail);
      resolve(socket);
    });
  });
}

/** Both ways until both sides have said their end; a side that breaks breaks the other. */
function join(one: Held, server: Socket): void {
  const { client } = one;
  for (const chunk of one.sent) server.write(chunk);
  client.on('close', () => server.destroy());
  server.on('close', () => client.destroy());
  server.pipe(client);
  if (one.ended) server.end();
  else client.pipe(server);
}

function sendAway(client: Socket, mode: ParkingPlace['mode']): void {
  if (mode === 'tcp') { client.destroy(); return; }
  const body = 'No replica of this service is ready. Please try again.\n';
  client.resume();
  client.end(`HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
  setTimeout(() => client.destroy(), 2000).unref();
}
