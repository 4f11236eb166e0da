/**
 * One published UDP port: datagrams of a client go on to one ready replica and its answers come back, as long as either says
 * something. UDP has no end, so a conversation is over when both were silent for a while, or its replica is ready no more.
 *
 *     client ──datagram──► port ── known client? its replica : the next ready one ──► replica
 *            ◄──────────── port ◄────────────────── answers of that replica alone ──┘
 *
 * What finds no ready replica, no room or a full queue is dropped, as a router would: a client of UDP asks again.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { EdgeState } from './edge-state.ts';

export type DatagramPlace = NonNullable<EdgeState['datagrams']>[number];

export interface DatagramCounters { conversations: number; relayed: number; dropped: number }

export interface DatagramRelay {
  /** Other replicas, limits: conversations with those that stay ready go on. */
  change(place: DatagramPlace): void;
  close(): Promise<void>;
}

interface Conversation {
  readonly target: { readonly address: string; readonly port: number };
  /** Connected to the replica: the kernel lets nobody else's datagrams in. */
  readonly socket: Socket;
  /** What came while it was being connected. */
  waiting: Buffer[] | undefined;
  /** Of either side's last datagram. */
  saidAt: number;
}

const maxWaiting = 16;
/** Bytes that may wait in a socket's queue. */
const maxQueuedBytes = 1024 * 1024;

/** @throws the system's error (EADDRINUSE, EADDRNOTAVAIL) */
export async function relayDatagrams(first: DatagramPlace, counters: DatagramCounters): Promise<DatagramRelay> {
  let place = first;
  let turn = 0;
  const conversations = new Map<string, Conversation>();
  const server = await bind(first.address, first.port);
  let sweep: NodeJS.Timeout | undefined;

  const isReady = ({ target }: Conversation): boolean => place.ready.some((one) => one.address === target.address && one.port === target.port);

  function end(client: string, one: Conversation): void {
    if (conversations.get(client) !== one) return;
    conversations.delete(client);
    counters.conversations -= 1;
    one.socket.close();
    if (conversations.size === 0) { clearInterval(sweep); sweep = undefined; }
  }

  function begin(client: string, from: RemoteInfo): Conversation | undefined {
    const target = place.ready[turn++ % Math.max(1, place.ready.length)];
    if (target === undefined || conversations.size >= place.limit) return undefined;
    const socket = createSocket(isIPv6(target.address) ? 'udp6' : 'udp4');
    const one: Conversation = { target, socket, waiting: [], saidAt: performance.now() };
    conversations.set(client, one);
    counters.conversations += 1;
    socket.on('error', () => end(client, one)); // it refuses: the next datagram finds another
    socket.on('message', (bytes) => {
      one.saidAt = performance.now();
      send(server, bytes, () => server.send(bytes, from.port, from.address));
    });
    socket.connect(target.port, target.address, () => {
      for (const bytes of one.waiting ?? []) socket.send(bytes);
      one.waiting = undefined;
    });
    sweep ??= setInterval(() => {
      const silentSince = performance.now() - place.idleMs;
      for (const [key, each] of conversations) if (each.saidAt < silentSince) end(key, each);
    }, Math.min(5000, place.idleMs)).unref();
    return one;
  }

  function send(socket: Socket, bytes: Buffer, go: () => void): void {
    if (socket.getSendQueueSize() + bytes.length > maxQueuedBytes) { counters.dropped += 1; return; }
    counters.relayed += 1;
    go();
  }

  server.on('message', (bytes, from) => {
    const client = `${from.address} ${from.port}`;
    const one = conversations.get(client) ?? begin(client, from);
    if (one === undefined || (one.waiting?.length ?? 0) >= maxWaiting) { counters.dropped += 1; return; }
    one.saidAt = performance.now();
    if (one.waiting === undefined) send(one.socket, bytes, () => one.socket.send(bytes));
    else { one.waiting.push(bytes); counters.relayed += 1; }
  });
  server.on('error', () => { /* of one datagram that could not be sent */ });

  return {
    change(next) {
      place = next;
      for (const [client, one] of conversations) if (!isReady(one)) end(client, one);
    },
    async close() {
      for (const [client, one] of conversations) end(client, one);
      await new Promise<void>((resolve) => { server.close(() => resolve()); });
    },
  };
}

function bind(address: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', ...(isIPv6(address) ? { ipv6Only: true } : {}) });
    socket.once('error', (error) => { socket.close(); reject(error); });
    socket.bind({ port, address, exclusive: true }, () => { socket.removeAllListeners('error'); resolve(socket); });
  });
}
