/**
 * Asks other name servers and hands their bytes back. Each question goes out from a port of its own under an id of our
 * own, and only an answer from the asked server with that id and the same question is believed.
 */
import { createSocket } from 'node:dgram';
import { closeSync, openSync, readSync } from 'node:fs';
import { connect } from 'node:net';

const waitMs = 2000;
const maxPending = 256;
let pending = 0;

/** The first server's answer, or undefined when none answers. An address may carry a port: `10.0.0.1:5353`. */
export async function forwardQuery(request: Buffer, upstream: readonly string[], over: 'udp' | 'tcp'): Promise<Buffer | undefined> {
  if (pending >= maxPending) return undefined;
  pending += 1;
  try {
    for (const server of upstream) {
      const asked = Buffer.from(request);
      writeRandom(asked, 2);
      const [address = '', port = '53'] = server.split(':');
      const answer = await (over === 'udp' ? askDatagram(asked, address, Number(port)) : askStream(asked, address, Number(port)));
      if (answer === undefined) continue;
      request.copy(answer, 0, 0, 2);
      return answer;
    }
    return undefined;
  } finally {
    pending -= 1;
  }
}

/** From the kernel directly: the crypto module would cost the edge megabytes for two bytes. */
function writeRandom(into: Buffer, bytes: number): void {
  const file = openSync('/dev/urandom', 'r');
  try { readSync(file, into, 0, bytes, null); } finally { closeSync(file); }
}

function isAnswerTo(answer: Buffer, asked: Buffer): boolean {
  if (answer.length < 12 || answer.readUInt16BE(0) !== asked.readUInt16BE(0) || (answer.readUInt8(2) & 0x80) === 0) return false;
  if (answer.readUInt16BE(4) !== 1) return answer.readUInt16BE(4) === 0 && (answer.readUInt8(3) & 0x0f) !== 0;
  const end = questionEnd(asked);
  return end !== undefined && answer.subarray(12, end).toString('latin1').toLowerCase() === asked.subarray(12, end).toString('latin1').toLowerCase();
}

/** Offset behind the one question: its labels, its type, its class. */
function questionEnd(packet: Buffer): number | undefined {
  let offset = 12;
  for (;;) {
    const length = packet[offset];
    if (length === undefined || length > 63) return undefined;
    offset += 1 + length;
    if (length === 0) return offset + 4 <= packet.length ? offset + 4 : undefined;
  }
}

function askDatagram(asked: Buffer, address: string, port: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const end = (answer: Buffer | undefined) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => { /* already answered */ });
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => end(undefined), waitMs);
    socket.on('error', () => end(undefined));
    socket.on('message', (answer, from) => { if (from.address === address && from.port === port && isAnswerTo(answer, asked)) end(answer); });
    socket.bind(0, () => socket.send(asked, port, address, (error) => { if (error) end(undefined); }));
  });
}

function askStream(asked: Buffer, address: string, port: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let got = Buffer.alloc(0);
    const end = (answer: Buffer | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end(undefined), waitMs);
    socket.on('error', () => end(undefined));
    socket.on('close', () => end(undefined));
    socket.on('connect', () => { socket.write(framed(asked)); });
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return;
      const answer = Buffer.from(got.subarray(2, 2 + got.readUInt16BE(0)));
      end(isAnswerTo(answer, asked) ? answer : undefined);
    });
  });
}

/** DNS over a stream puts the length before each packet. */
export function framed(packet: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  return Buffer.concat([length, packet]);
}
