/** DNS on the gateway address, by datagram and by stream. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { answerPacket, failure } from './answer-packet.ts';
import type { EdgeState } from './edge-state.ts';
import { forwardQuery, framed } from './forward-query.ts';

export interface NameCounters { answered: number; forwarded: number; failed: number }

export interface NameService { close(): Promise<void> }

const idleMs = 10_000;
const maxStreams = 256;
const maxDatagramBytes = 1232;
const maxStreamBytes = 65_535;

/** @throws the system's error (EADDRINUSE, EADDRNOTAVAIL) */
export async function serveNames(address: string, port: number, state: () => EdgeState, counters: NameCounters): Promise<NameService> {
  const answer = async (request: Buffer, asker: string, over: 'udp' | 'tcp'): Promise<Buffer | undefined> => {
    const answered = answerPacket(state(), request, asker, over === 'udp' ? maxDatagramBytes : maxStreamBytes);
    if (answered.kind === 'ignore') return undefined;
    if (answered.kind === 'reply') {
      counters.answered += 1;
      return answered.bytes;
    }
    const others = await forwardQuery(request, state().upstream, over);
    counters[others === undefined ? 'failed' : 'forwarded'] += 1;
    return others ?? failure(request);
  };
  const datagrams = await openDatagrams(address, port, answer);
  try {
    const streams = await openStreams(address, port, answer);
    return { close: async () => { await Promise.all([streams.close(), new Promise<void>((resolve) => { datagrams.close(() => resolve()); })]); } };
  } catch (error) {
    datagrams.close();
    throw error;
  }
}

type Responder = (request: Buffer, asker: string, over: 'udp' | 'tcp') => Promise<Buffer | undefined>;

function openDatagrams(address: string, port: number, answer: Responder): Promise<DatagramSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.on('message', (request, from) => {
      void answer(request, from.address, 'udp').then((reply) => {
        if (reply !== undefined) socket.send(reply, from.port, from.address, () => { /* the asker asks again */ });
      }).catch(() => undefined); // the socket was closed meanwhile
    });
    socket.bind(port, address, () => {
      socket.removeListener('error', reject);
      socket.on('error', () => { /* of one datagram; the next may go well */ });
      resolve(socket);
    });
  });
}

function openStreams(address: string, port: number, answer: Responder): Promise<NameService> {
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    if (open.size >= maxStreams) { socket.destroy(); return; }
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(idleMs, () => socket.destroy());
    answerStream(socket, answer);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.removeListener('error', reject);
      server.on('error', () => { /* of one connection that could not be accepted */ });
      resolve({ close: () => new Promise((done) => {
        server.close(() => done());
        for (const socket of open) socket.destroy();
      }) });
    });
  });
}

/** Questions on one stream are answered in turn; while one is open nothing more is read. */
function answerStream(socket: Socket, answer: Responder): void {
  let got = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    got = Buffer.concat([got, chunk]);
    socket.pause();
    void next().catch(() => socket.destroy());
  });
  const next = async (): Promise<void> => {
    while (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) {
      const request = Buffer.from(got.subarray(2, 2 + got.readUInt16BE(0)));
      got = got.subarray(2 + request.length);
      const reply = await answer(request, socket.remoteAddress ?? '', 'tcp');
      if (reply === undefined) { socket.destroy(); return; }
      socket.write(framed(reply));
    }
    socket.resume();
  };
}
